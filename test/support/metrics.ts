/**
 * Reads Prometheus' text format (version 0.0.4) as strictly as a good scraper does: every sample belongs to a family
 * that was announced by HELP and TYPE just before, nothing is there twice, every number is one.
 */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: Sample[]
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y
/** `Nan` is prom-client's spelling; scrapers read it whatever the case. */
const NUMBERS: Readonly<Record<string, number>> = { '+Inf': Infinity, '-Inf': -Infinity, NaN, Nan: NaN }
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

/** @throws Error that quotes the line, where the text is not as it should be. */
export function parseMetrics(text: string): Map<string, MetricFamily> {
  const families = new Map<string, MetricFamily>()
  const seen = new Set<string>()
  let announced: RegExpExecArray | undefined
  let family: MetricFamily | undefined
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  for (const line of text.split('\n')) {
    if (line === '') continue
    const help = HELP.exec(line)
    const type = TYPE.exec(line)
    if (help !== null) announced = help
    else if (type !== null) {
      const [, name = '', kind = ''] = type
      if (announced?.[1] !== name) throw new Error(`no HELP before: ${line}`)
      if (families.has(name)) throw new Error(`a second time: ${line}`)
      family = { name, help: announced[2] ?? '', type: kind, samples: [] }
      families.set(name, family)
      announced = undefined
    } else {
      const sample = parseSample(line)
      if (family === undefined || !belongs(sample.name, family)) throw new Error(`no TYPE before: ${line}`)
      const key = `${sample.name} ${JSON.stringify(sample.labels, Object.keys(sample.labels).toSorted(byText))}`
      if (seen.has(key)) throw new Error(`a second time: ${line}`)
      seen.add(key)
      if (family.type === 'counter' && !(sample.value >= 0)) throw new Error(`no counter has this value: ${line}`)
      family.samples.push(sample)
    }
  }
  return families
}

function parseSample(line: string): Sample {
  const [, name = '', inner = '', number = ''] = SAMPLE.exec(line) ?? []
  const value = NUMBERS[number] ?? Number(number)
  if (name === '' || (Number.isNaN(value) && !(number in NUMBERS))) throw new Error(`no sample: ${line}`)
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < inner.length) {
    const label = LABEL.exec(inner)
    if (label === null) throw new Error(`no labels: ${line}`)
    const [, key = '', content = ''] = label
    if (key in labels) throw new Error(`a label twice: ${line}`)
    labels[key] = content.replace(/\\(.)/g, (_all, character: string) => (character === 'n' ? '\n' : character))
  }
  return { name, labels, value }
}

function byText(one: string, other: string): number {
  return one < other ? -1 : 1
}

function belongs(name: string, family: MetricFamily): boolean {
  return (SUFFIXES[family.type] ?? ['']).some((suffix) => name === family.name + suffix)
}

/** The value of the one sample with these labels, and perhaps others; undefined where there is none. */
export function valueOf(
  families: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const samples = [...families.values()].flatMap((family) => family.samples)
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, content]) => sample.labels[key] === content),
  )
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} have these labels`)
  return found[0]?.value
}
