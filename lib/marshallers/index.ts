/** Floor 3. The marshallers that every relay has. */
import type { MarshallerType } from '../endpoint.ts'
import { marshalJson } from './json.ts'
import { marshalRaw } from './raw.ts'
import { marshalText } from './text.ts'

export const builtinMarshallers: MarshallerType[] = [marshalJson, marshalText, marshalRaw]
