/** Compiles lib/ to dist/. The new folder takes the old one's place in one step: a running program never sees half of it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const fresh = `dist.new-${process.pid}`
const old = `dist.old-${process.pid}`
const options = ['--project', 'tsconfig.build.json', '--outDir', fresh]
try {
  const compiled = spawnSync('node_modules/.bin/tsc', options, { stdio: 'inherit' })
  if (compiled.status === 0) {
    // What is not TypeScript (pages, styles) goes along as it is.
    cpSync('lib', fresh, { recursive: true, filter: (path) => !path.endsWith('.ts') })
    chmodSync(`${fresh}/cli.js`, 0o755)
    rmSync(old, { recursive: true, force: true })
    moveIfThere('dist', old)
    renameSync(fresh, 'dist')
  } else {
    process.exitCode = 1
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
  rmSync(old, { recursive: true, force: true })
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
