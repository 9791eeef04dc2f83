import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The environment of a reader's shell: without the settings of tap and of the npm script that may have started this test. */
export function environment (added: Record<string, string> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(TAP.*|_TAPJS.*|NODE_OPTIONS|npm_(lifecycle|package)_.*|npm_config_local_prefix|INIT_CWD)$/.test(name))
  return { ...Object.fromEntries(own), NO_COLOR: '1', ...added }
}

/** Runs a program to its end, and returns its output. Rejects with the output if it fails. */
export async function runProgram (name: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(name, args, { cwd, env: environment(), maxBuffer: 2 ** 26 })
  return stdout
}

/**
 * Packs the project as `npm pack` in a clone does. Packs a copy, because the build replaces `dist`, which other tests may read.
 * @param folder a folder for the copy
 * @returns the path of the tarball
 */
export async function packProject (folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const names = ['package.json', 'README.md', 'LICENSE', 'lib', 'site/package-readme.js', 'site/sources.js', ...(await readdir(root)).filter((name) => name.startsWith('tsconfig'))]
  for (const name of names) await cp(join(root, name), join(folder, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await runProgram('npm', ['pack'], folder)
  const [tarball] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('npm pack made no file')
  return join(folder, tarball)
}
