/** Markdown tables of figures. */

/** One row: a cell per column. Numbers are rounded by {@link figure}. */
export type Row = readonly (string | number)[]

/** A Markdown table; the first column is text, the others are figures, to the right. */
export function table(head: readonly string[], rows: readonly Row[]): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)))
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...cells.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]): string =>
    `| ${head.map((_, column) => pad(row[column] ?? '', widths[column] as number, column)).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...cells.map(line)].join('\n')
}

/** Three digits that count, thousands apart: 1,234,000, 12.3, 0.184. A dash where there is none. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

/** All digits: for counts. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}
