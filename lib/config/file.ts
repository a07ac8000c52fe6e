/** Floor 1. Reading a file that an operator named: bounded, never blocking on what is no file. */
import { constants, open, stat, type FileHandle } from 'node:fs/promises'

/** Why a file could not be read, in words that follow its name. */
export class UnreadableError extends Error {}

/**
 * @param maximum bytes.
 * @throws UnreadableError
 */
export async function readTextFile(path: string, maximum: number): Promise<string> {
  let bytes: Buffer
  try {
    const found = await stat(path)
    if (found.isDirectory()) throw new UnreadableError('it is a folder')
    if (!found.isFile()) throw new UnreadableError('it is no regular file')
    if (found.size > maximum) throw tooLarge(maximum)
    // What became a pipe since must not block.
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      bytes = await readUpTo(handle, maximum)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw error instanceof UnreadableError ? error : new UnreadableError(reason(error))
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UnreadableError('it is not UTF-8 text')
  }
}

/** The size that stat told may be wrong by now, and is 0 for what a kernel makes up. */
async function readUpTo(handle: FileHandle, maximum: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, null)
    if (bytesRead === 0) return Buffer.concat(chunks)
    length += bytesRead
    if (length > maximum) throw tooLarge(maximum)
    chunks.push(buffer.subarray(0, bytesRead))
  }
}

function tooLarge(maximum: number): UnreadableError {
  const [factor, unit] = maximum < 1024 ** 2 ? [1024, 'KiB'] : [1024 ** 2, 'MiB']
  return new UnreadableError(`it is larger than ${maximum / factor} ${unit}`)
}

/** Why a file that an option names could not be read; undefined where an error is of another kind. */
export function problemOfFile(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'the file is not there; its path is relative to the folder of the config'
  return typeof code === 'string' && /^E[A-Z]+$/.test(code) ? `the file cannot be read (${code})` : undefined
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'ELOOP':
      return 'it is a link to itself'
    case 'ENAMETOOLONG':
    case 'ERR_INVALID_ARG_VALUE':
      return 'no file can have that name'
    default:
      return typeof code === 'string' ? code : 'it could not be opened'
  }
}
