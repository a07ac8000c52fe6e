/** Floor 2. The contract between the relay and a payload format. */
import type { Marshaller, Message } from './message.ts'
import type { JsonSchema, Settle } from './types.ts'

/** A marshaller type. Made with {@link defineMarshaller}. */
export interface MarshallerType<Options extends object = object> {
  /** `marshal-…`: what a config names. */
  readonly id: string
  readonly description?: string
  readonly schema: JsonSchema
  /**
   * Libraries that the type imports once it is used, and that users install themselves, with the versions that will do:
   * `{ mqtt: '5' }`. A config that needs one that is missing, or there in another major version, is refused with the
   * command that installs it. They are imported by files that are themselves imported when the type is used, not before.
   */
  readonly packages?: Readonly<Record<string, string>>
  /** @param directory absolute; what relative paths in the options are relative to. */
  create(options: Readonly<Options>, directory: string): Marshaller | Promise<Marshaller>
}

/** Gives a marshaller type its TypeScript types; returns it as it is. */
export function defineMarshaller<Options extends object>(type: MarshallerType<Options>): MarshallerType<Options> {
  return type
}

type Take = (message: Message, settle?: Settle) => void

/** What a source's messages are taken in by; the same function where the marshaller has nothing to do with whole messages. */
export function arriving(marshaller: Marshaller, accept: Take): Take {
  const incoming = marshaller.incoming?.bind(marshaller)
  return incoming === undefined ? accept : (message, settle) => accept(incoming(message), settle)
}

/** What a target is sent by; the same function where the marshaller has nothing to do with whole messages. */
export function departing(marshaller: Marshaller, send: Take, carriesHeaders: boolean): Take {
  const outgoing = marshaller.outgoing?.bind(marshaller)
  return outgoing === undefined ? send : (message, settle) => send(outgoing(message, carriesHeaders), settle)
}
