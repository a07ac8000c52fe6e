/** The suite that every endpoint type passes, on this one: `node --test example/custom-endpoint/`. */
import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testEndpoint } from 'araldo/testing'
import type from './tail-endpoint.js'

/** A folder with a file in it, which has a line already. In an outage the folder is elsewhere. */
async function createPeer() {
  const folder = await mkdtemp(join(tmpdir(), 'tail-'))
  const away = `${folder}-away`
  const path = join(folder, 'app.log')
  await writeFile(path, 'before\n')
  return {
    options: { path, interval: '10ms', 'max-line': '32KiB' },
    emit: (payload) => appendFile(path, Buffer.concat([payload, Buffer.from('\n')])),
    received: async () => linesOf(await readFile(path)).slice(1),
    carries: (payload) => !payload.includes('\n'),
    outage: { stop: () => rename(folder, away), start: () => rename(away, folder) },
    close: () => Promise.all([folder, away].map((each) => rm(each, { recursive: true, force: true }))),
  }
}

/** What a target wrote; the bytes as they are. */
function linesOf(content) {
  const lines = content.toString('latin1').split('\n').slice(0, -1)
  return lines.map((line) => ({ payload: Buffer.from(line, 'latin1') }))
}

testEndpoint({ type, createPeer })
