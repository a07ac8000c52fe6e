/** Floor 3. Topic filters: what may be subscribed to, and whether a topic comes in by one. */
import { fixedEnds } from '../common/template.ts'
import { textProblem } from './text.ts'

/**
 * Why it is no topic filter; undefined where it is one. Source: MQTT 5, section 4.7.1: `+` stands for a whole level, `#`
 * for all that follow and is the last.
 */
export function filterProblem(filter: string): string | undefined {
  if (filter === '') return 'is empty'
  if (filter.startsWith('$share/')) return "names a shared subscription: write the group in 'share', the filter here"
  const levels = filter.split('/')
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index < levels.length - 1)) return "'#' is a level alone, and the last"
    if (level.includes('+') && level !== '+') return "'+' is a level alone"
  }
  return textProblem(filter)
}

/** Why it is no name of a group that shares a subscription; undefined where it is one. Source: MQTT 5, section 4.8.2. */
export function shareProblem(group: string): string | undefined {
  if (/[/+#]/.test(group)) return "holds '/', '+' or '#'"
  return textProblem(group)
}

/** Whether what is sent to a topic comes in by a filter. Source: MQTT 5, section 4.7. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const [expected, levels] = [filter.split('/'), topic.split('/')]
  for (const [index, level] of expected.entries()) {
    if (level === '#') return true
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false
  }
  return expected.length === levels.length
}

/** Whether what a template of topics makes may come in by a filter: what it begins and ends with decides. */
export function mayMatch(filter: string, template: string): boolean {
  const ends = fixedEnds(template)
  if (ends === undefined) return matches(filter, template)
  const { begin, end } = ends
  const fixed = /^[^+#]*/.exec(filter)?.[0] ?? ''
  if (!begin.startsWith(fixed) && !fixed.startsWith(begin)) return false
  const fixedEnd = filter.includes('#') ? '' : (/[^+]*$/.exec(filter)?.[0] ?? '')
  return end.endsWith(fixedEnd) || fixedEnd.endsWith(end)
}
