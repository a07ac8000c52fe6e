/**
 * Floor 3. The frames that an endpoint sends within one turn of the event loop, laid out so that clients share buffers:
 *
 *     for everyone        a b   c        one buffer
 *     for the group /x       x           its clients share another one: a b x c
 *
 * A client that sent b itself gets the buffer of the others in slices around b: nothing is copied for it.
 */
import type { Client, Frame, Group } from './client.ts'
import { type Opcode, writeFrame } from './frame.ts'

export interface Turn {
  /** All of them, in order. */
  readonly frames: readonly Frame[]
  /** Those for everyone. */
  readonly everyone: Buffer
  /** How many frames {@link everyone} holds. */
  readonly broadcasts: number
  /** Those that have frames of their own. */
  readonly groups: readonly Group[]
}

/**
 * Lays the frames for everyone out, and gives each group its own. Each of the endpoint's `clients` that is excepted from
 * frames that are due to it has them listed.
 */
export function layOut(frames: readonly Frame[], clients: ReadonlySet<Client>, opcode: Opcode): Turn {
  let length = 0
  for (const frame of frames) if (frame.group === undefined) length += frame.length
  const everyone = Buffer.allocUnsafe(length)
  const groups: Group[] = []
  let offset = 0
  let broadcasts = 0
  for (const frame of frames) {
    const { group, except } = frame
    frame.offset = offset
    if (group === undefined) {
      offset = writeFrame(everyone, offset, opcode, frame.payload)
      broadcasts++
    } else if (group.frames.push(frame) === 1) {
      groups.push(group)
    }
    if (except === undefined || !clients.has(except)) continue
    if (group === undefined || group === except.group) (except.excepted ??= []).push(frame)
  }
  return { frames, everyone, broadcasts, groups }
}

/** What a group's clients get: `everyone` with the group's frames where they belong. Not copied where it has none. */
export function merge(everyone: Buffer, frames: readonly Frame[], opcode: Opcode): Buffer {
  if (frames.length === 0) return everyone
  let { length } = everyone
  for (const frame of frames) length += frame.length
  const merged = Buffer.allocUnsafe(length)
  let position = 0
  let copied = 0
  for (const { offset, payload } of frames) {
    position += everyone.copy(merged, position, copied, offset)
    copied = offset
    position = writeFrame(merged, position, opcode, payload)
  }
  everyone.copy(merged, position, copied)
  return merged
}

/**
 * The parts of a client's buffer around the frames that it must not get.
 * @param excepted frames that are in the buffer, in order.
 * @param own the frames of its group that are in the buffer, in order.
 */
export function partsAround(buffer: Buffer, excepted: readonly Frame[], own: readonly Frame[]): Buffer[] {
  const parts: Buffer[] = []
  let from = 0
  // How many of the group's own frames come before the excepted one, and how many bytes they are.
  let before = 0
  let inserted = 0
  for (const frame of excepted) {
    // A frame for everyone that came before one of the group's ends at or before the place where that is inserted.
    for (let next = own[before]; next !== undefined && next !== frame; next = own[++before]) {
      if (next.offset > frame.offset) break
      inserted += next.length
    }
    const start = frame.offset + inserted
    if (start > from) parts.push(buffer.subarray(from, start))
    from = start + frame.length
  }
  if (from < buffer.length) parts.push(buffer.subarray(from))
  return parts
}
