/**
 * Floor 1. What a journal needs of a file system, so that a test can hand in one that is full, fails, or loses power.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** An open file. Every operation says where in the file it works; several may be under way at once. */
export interface File {
  /** Fills `into` from `position` on. @returns how many bytes there were: fewer at the end of the file only */
  read(into: Uint8Array, position: number): Promise<number>
  /** Writes all of the buffers, one after the other. After an error any part of them may have been written. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>
  /** Resolves when what was written, and the size, survive a loss of power (fdatasync). */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/**
 * - `create`: for writing and reading; fails where there is such a file.
 * - `write`: for writing and reading; made where there is none, kept as it is where there is one.
 * - `read`: for reading.
 */
export type OpenMode = 'create' | 'write' | 'read'

export interface Files {
  /** Makes the folder and those above it, where they are missing, so that they survive a loss of power. */
  makeFolder(path: string): Promise<void>
  open(path: string, mode: OpenMode): Promise<File>
  /** The names in a folder. */
  list(folder: string): Promise<string[]>
  /** Does nothing where there is no such file. */
  remove(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Resolves when files made, renamed and removed in the folder so far are so after a loss of power, too. */
  syncFolder(path: string): Promise<void>
}

/** Nobody but the relay's own user: records are people's messages. */
const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

const FLAGS: Readonly<Record<OpenMode, number>> = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  write: constants.O_RDWR | constants.O_CREAT,
  read: constants.O_RDONLY,
}

class SystemFile implements File {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let filled = 0
    while (filled < into.length) {
      const { bytesRead } = await this.#handle.read(into, filled, into.length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return filled
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let left = buffers.filter(({ length }) => length > 0)
    let at = position
    while (left.length > 0) {
      let { bytesWritten } = await this.#handle.writev(left, at)
      at += bytesWritten
      // Short where the disk is nearly full; the error, if there is one, comes with the rest.
      let whole = 0
      for (let next = left[0]; next !== undefined && bytesWritten >= next.length; next = left[whole]) {
        bytesWritten -= next.length
        whole++
      }
      const [partly, ...rest] = left.slice(whole)
      left = partly === undefined ? [] : [partly.subarray(bytesWritten), ...rest]
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size)
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The real one. */
export const systemFiles: Files = {
  async makeFolder(path) {
    const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE })
    if (first === undefined) return
    // Each folder above a new one has a new entry, up to the one that was there.
    let made = resolve(path)
    do {
      made = dirname(made)
      await syncFolder(made)
    } while (made !== dirname(resolve(first)) && made !== dirname(made))
  },
  async open(path, mode) {
    return new SystemFile(await open(path, FLAGS[mode], FILE_MODE))
  },
  list: (folder) => readdir(folder),
  async remove(path) {
    try {
      await unlink(path)
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
    }
  },
  rename: (from, to) => rename(from, to),
  syncFolder,
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
