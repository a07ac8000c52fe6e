/** Floor 3. What a template of topics can give, as far as that is known before any message is there. */

/** What all that it gives begins and ends with; undefined where it is a constant. */
export function fixedEnds(template: string): { readonly begin: string; readonly end: string } | undefined {
  const first = template.search(/[{}]/)
  if (first === -1) return undefined
  const last = Math.max(template.lastIndexOf('{'), template.lastIndexOf('}'))
  return { begin: template.slice(0, first), end: template.slice(last + 1) }
}

/** Whether it may give that text: where data has a part in it, what it begins and ends with decides. */
export function mayGive(template: string, text: string): boolean {
  const ends = fixedEnds(template)
  if (ends === undefined) return template === text
  const { begin, end } = ends
  return text.length > begin.length + end.length && text.startsWith(begin) && text.endsWith(end)
}
