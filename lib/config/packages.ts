/** Floor 1. Client libraries that a type needs, and that users install beside araldo: optional peers of its package. */
import { readFileSync } from 'node:fs'

/** By name, the range of versions that is known to work: `{ mqtt: '5' }`. Of a range, its major version is looked at. */
export type Packages = Readonly<Record<string, string>>

export interface MissingPackage {
  /** As `npm install` wants it: `mqtt@5`. */
  readonly wanted: string
  /** `mqtt 4.3.8`; undefined where there is none. */
  readonly found: string | undefined
}

/** @returns those that are not installed, or in a version that is another. */
export function missingPackages(packages: Packages = {}): MissingPackage[] {
  return Object.entries(packages).flatMap(([name, range]): MissingPackage[] => {
    const wanted = `${name}@${range}`
    const url = locate(name)
    if (url === undefined) return [{ wanted, found: undefined }]
    const version = versionOf(name, url)
    const major = /^[\^~]?(\d+)/.exec(range)?.[1]
    const fits = version === undefined || major === undefined || version.split('.', 1)[0] === major
    return fits ? [] : [{ wanted, found: `${name} ${version}` }]
  })
}

/** Found from here, as the type's own `import` will find it. */
function locate(name: string): string | undefined {
  try {
    return import.meta.resolve(name)
  } catch {
    return undefined
  }
}

/** By the package.json above its entry; undefined where none says so, as with an alias. */
function versionOf(name: string, entry: string): string | undefined {
  if (!entry.startsWith('file:')) return undefined
  for (let folder = new URL('.', entry); ; folder = new URL('..', folder)) {
    try {
      const { name: found, version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
        readonly name?: unknown
        readonly version?: unknown
      }
      if (found === name) return typeof version === 'string' ? version : undefined
    } catch {
      // None here, or none that can be read: the next one above.
    }
    if (folder.pathname === new URL('..', folder).pathname) return undefined
  }
}
