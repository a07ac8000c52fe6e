/** Floor 3. Which media types a path takes, by its marshaller. RFC 9110 section 8.3. */
import type { Marshaller } from '../../message.ts'

/** What the body of a request is: one message, or a line for each. */
export type BodyKind = 'message' | 'batch'

export interface MediaTypes {
  /** For people: `application/json, application/x-ndjson`. */
  readonly accepted: string
  /** @returns undefined where the type is refused. A request that names none brings one message. */
  kindOf(contentType: string | undefined): BodyKind | undefined
}

/** One JSON text a line: the name in use, that of the registry's proposals, and that of JSON Lines. */
const BATCH_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl']
const TYPE = /^\s*([!#$%&'*+.^_`|~0-9a-z-]+\/[!#$%&'*+.^_`|~0-9a-z-]+)\s*((?:;[^]*)?)$/i

export function mediaTypesOf({ contentType, format }: Marshaller): MediaTypes {
  if (format === 'raw') return { accepted: '*/*', kindOf: () => 'message' }
  const own = essenceOf(contentType)?.essence ?? contentType
  // Every type that says that it is JSON, too (RFC 6839).
  const isJson = own === 'application/json'
  const batches = isJson || own.endsWith('+json') ? BATCH_TYPES : []
  return {
    accepted: [own, ...(isJson ? ['application/*+json'] : []), ...batches].join(', '),
    kindOf(text) {
      if (text === undefined) return 'message'
      const type = essenceOf(text)
      if (type === undefined || !isUtf8(type.parameters)) return undefined
      const { essence } = type
      if (batches.includes(essence)) return 'batch'
      return essence === own || (isJson && /^application\/.+\+json$/.test(essence)) ? 'message' : undefined
    },
  }
}

function essenceOf(text: string): { readonly essence: string; readonly parameters: string } | undefined {
  const [, essence, parameters = ''] = TYPE.exec(text) ?? []
  return essence === undefined ? undefined : { essence: essence.toLowerCase(), parameters }
}

/** Text is UTF-8 here: a request that says that it is something else would be read wrongly. */
function isUtf8(parameters: string): boolean {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)"?/i.exec(parameters) ?? []
  return /^(utf-?8|us-ascii)$/i.test(charset)
}
