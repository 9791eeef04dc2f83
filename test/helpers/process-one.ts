import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { isInstalled, testsWith } from './program.js'

// without root, a namespace of users is needed
const USER = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
const NAMESPACE = [...USER, '--pid', '--fork', '--mount-proc']

/** Declares a test with process 1 of a PID namespace, skipped if this user cannot create one. */
export const testProcessOne = testsWith({ command: 'unshare', check: [...NAMESPACE, 'true'], package: 'util-linux' })

export const hasTini = isInstalled({ command: 'tini', check: ['--version'], package: 'tini' })

/** A program that is process 1 of a PID namespace, as in a container. */
export interface ProcessOne {
  /** Port that the program has printed in a URL. */
  port: number
  /** Sends a signal from outside of the namespace, as a container engine does. */
  signal (name: NodeJS.Signals): void
  isRunning (): boolean
  /** Exit code of the program. */
  ended: Promise<number | null>
}

/** Starts a program as process 1 of a PID namespace, and waits until it prints its URL. The program ends with the test. */
export async function startProcessOne (t: Test, command: readonly string[], cwd: string): Promise<ProcessOne> {
  const { PATH, HOME } = process.env
  const child = spawn('unshare', [...NAMESPACE, ...command], { cwd, env: { PATH, HOME, npm_config_update_notifier: 'false' }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit').then(() => child.exitCode)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  let first = 0
  t.teardown(async () => {
    // ends all processes of the namespace
    if (isRunning(child)) process.kill(first === 0 ? child.pid ?? 0 : first, 'SIGKILL')
    await ended
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\S+/.exec(line)?.[0]
    if (url === undefined) continue
    first = Number((await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim())
    return { port: Number(new URL(url).port), ended, isRunning: () => isRunning(child), signal: (name) => process.kill(first, name) }
  }
  throw new Error(`${command.join(' ')} ended: ${errors}`)
}

function isRunning ({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}
