import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { manifest, root } from '../docs/document.js'

/** Returns the installed version of a package of the tests, or of this package. */
export function versionOf (name: string): string {
  if (name.startsWith(`${manifest.name}/`)) return manifest.version
  const path = ['test', ''].map((folder) => join(root, folder, 'node_modules', name, 'package.json')).find((path) => existsSync(path))
  if (path === undefined) throw new Error(`${name} is not installed`)
  return JSON.parse(readFileSync(path, 'utf8')).version
}
