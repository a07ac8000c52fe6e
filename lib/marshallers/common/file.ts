/** Floor 3. What goes wrong when a schema is loaded, told to whoever starts the relay. */
import { problemOfFile } from '../../config/file.ts'
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
    throw new errors.CONFIG(`${id}: ${what}: ${problemOfFile(cause) ?? reasonOf(cause)}`, { cause })
  }
}
