/** Floor 6. `araldo diff OLD NEW`: what a reload from one config to the other would change. */
import { loadConfig } from '../config.ts'
import { describeDiff, diffConfigs } from '../reload/diff.ts'
import { createRegistries } from '../plugin.ts'

/**
 * @returns a line for each difference; none where the two do the same. No line holds a value.
 * @throws ConfigError where one of them is invalid.
 */
export async function diff(before: string, after: string): Promise<readonly string[]> {
  // One registry: a type that both name is one type.
  const registries = createRegistries()
  return describeDiff(diffConfigs(await loadConfig(before, registries), await loadConfig(after, registries)))
}
