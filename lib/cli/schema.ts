/** Floor 6. `araldo schema`: the JSON Schema of a config, for editors. */
import { discoverTypes } from '../discovery.ts'
import { createRegistries } from '../plugin.ts'
import { configSchema } from '../schema.ts'
import type { JsonSchema } from '../types.ts'

/** Of the types that are built in and those that packages of the folder bring. */
export async function schema(folder: string): Promise<JsonSchema> {
  const registries = createRegistries()
  await discoverTypes(folder, registries)
  return configSchema(registries)
}
