import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { isListening } from './is-listening.js'
import { until } from './until.js'

// Debian's packages put servers into a folder that only root has in the PATH
const PATH = `${process.env.PATH}:/usr/sbin`

/** A program of the system, such as a proxy. */
export interface Program {
  command: string
  /** Arguments with which the program exits with code 0 if it can be used. */
  check: string[]
  /** Debian's package of the program. */
  package: string
}

/** Returns a function that declares tests with a program. They are skipped if the program is not installed. */
export function testsWith (program: Program): (name: string, run: (t: Test) => Promise<void>) => void {
  if (isInstalled(program)) return (name, run) => { test(name, run) }
  console.error(`There is no ${program.command} on the PATH (apt-get install ${program.package}): its tests are skipped`)
  return (name) => { test(name, { skip: `there is no ${program.command}` }, () => {}) }
}

export function isInstalled ({ command, check }: Program): boolean {
  try {
    execFileSync(command, check, { stdio: 'ignore', env: { ...process.env, PATH } })
    return true
  } catch {
    return false
  }
}

/** Starts a program in the foreground, waits until it listens, and ends it with the test. */
export async function startProgram (t: Test, command: string, args: string[], port: number, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(command, args, { env: { ...process.env, PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const over = once(child, 'exit')
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  t.teardown(async () => {
    // SIGTERM lets a program end its workers, too
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await over
    clearTimeout(timer)
  })
  await until(`${command} to listen`, () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${command} ended: ${output}`)
    return isListening(port)
  })
}

/** Writes a configuration into a new folder, which is removed after the test. Returns the folder and the file. */
export async function writeConfiguration (t: Test, name: string, code: (folder: string) => string): Promise<{ folder: string, file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'proxy-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, name)
  await writeFile(file, code(folder))
  return { folder, file }
}
