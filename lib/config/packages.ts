/** Floor 1. Client libraries that a type needs, and that users install beside araldo: optional peers of its package. */

/** By name, the range of versions that is known to work: `{ mqtt: '5' }`. */
export type Packages = Readonly<Record<string, string>>

/** @returns those that are not installed, as `npm install` wants them: `mqtt@5`. */
export function missingPackages(packages: Packages = {}): string[] {
  return Object.entries(packages)
    .filter(([name]) => !isInstalled(name))
    .map(([name, range]) => `${name}@${range}`)
}

/** Found from here, as the type's own `import` will find it. */
function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name)
    return true
  } catch {
    return false
  }
}
