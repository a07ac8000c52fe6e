/** Floor 3. What goes wrong when a schema is loaded, told to whoever starts the relay. */
import { errors, reasonOf } from '../../errors.ts'

/**
 * @param id the marshaller's type.
 * @param what the option and its value: `file 'orders.proto'`.
 * @throws ARALDO_ERR_CONFIG where `work` throws.
 */
export function loading<Result>(id: string, what: string, work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    throw new errors.CONFIG(`${id}: ${what}: ${explain(cause)}`, { cause })
  }
}

function explain(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT') return 'the file is not there; its path is relative to the folder of the config'
  return typeof code === 'string' && /^E[A-Z]+$/.test(code) ? `the file cannot be read (${code})` : reasonOf(cause)
}
