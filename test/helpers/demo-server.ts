import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

export interface DemoServer {
  url: string
  logFile: string
  /** Sends a signal to the process of the server. */
  signal (name: NodeJS.Signals): void
  /** Exit code of the process, and the signal if one killed it. */
  ended: Promise<{ code: number | null, signal: NodeJS.Signals | null }>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Starts the demo as `npm start` does, or another server of the demo, in a separate process on a free port. The process ends with the test. */
export async function startDemoServer (t: Test, env: Record<string, string> = {}, file = 'demo/server.ts'): Promise<DemoServer> {
  const logFile = join(t.testdir(), 'server.log')
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, ['--import=./test/typescript.mjs', file], {
    cwd: root,
    // collects no coverage, because that takes time and the tests reach every line themselves
    env: { PATH, HOME, PORT: '0', LOG_FILE: logFile, _TAPJS_PROCESSINFO_COVERAGE_: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })

  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text })
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\S+/.exec(line)?.[0]
    if (url) return { url, logFile, ended, signal: (name) => child.kill(name) }
  }
  throw new Error(`The demo server ended before it listened:\n${errors}`)
}
