/** Floor 2. The contract between the relay and a payload format. */
import type { Marshaller } from './message.ts'
import type { JsonSchema } from './types.ts'

/** A marshaller type. Made with {@link defineMarshaller}. */
export interface MarshallerType<Options extends object = object> {
  /** `marshal-…`: what a config names. */
  readonly id: string
  readonly description?: string
  readonly schema: JsonSchema
  /**
   * Libraries that the type imports once it is used, and that users install themselves, with the versions that will do:
   * `{ mqtt: '5' }`. A config that needs one that is missing is refused with the command that installs it. They are
   * imported by files that are themselves imported when the type is used, not before.
   */
  readonly packages?: Readonly<Record<string, string>>
  /** @param directory absolute; what relative paths in the options are relative to. */
  create(options: Readonly<Options>, directory: string): Marshaller | Promise<Marshaller>
}

/** Gives a marshaller type its TypeScript types; returns it as it is. */
export function defineMarshaller<Options extends object>(type: MarshallerType<Options>): MarshallerType<Options> {
  return type
}
