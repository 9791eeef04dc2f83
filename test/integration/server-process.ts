import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { SSEStats } from '../../lib/index.js'

/** One process of an application with several. It ends with its test. */
export class ServerProcess {
  port = 0
  readonly #redis: string
  #child: ChildProcess | null = null

  private constructor (redis: string) {
    this.#redis = redis
  }

  /** @param redis the URL of the Redis that all processes share */
  static async start (t: Test, redis: string): Promise<ServerProcess> {
    const server = new ServerProcess(redis)
    t.teardown(() => server.kill())
    await server.start()
    return server
  }

  /** Starts the process on a new port. */
  async start (): Promise<void> {
    const { PATH, HOME } = process.env
    const child = this.#child = fork(fileURLToPath(new URL('process-server.ts', import.meta.url)), [this.#redis], {
      execArgv: ['--import=./test/typescript.mjs'],
      // collects no coverage, because that takes time and the tests reach every line themselves
      env: { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
    })
    const ended = once(child, 'exit').then(([code, signal]) => { throw new Error(`a server ended with ${signal ?? code} before it listened`) })
    const [port] = await Promise.race([once(child, 'message'), ended])
    this.port = port
  }

  /** Kills the process (SIGKILL). */
  async kill (): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null) return
    const over = once(child, 'exit')
    child.kill('SIGKILL')
    await over
  }

  /** Posts a text. Resolves to status and text of the response, rejects if the process ends before it responds. */
  async post (path: string, body: string): Promise<{ status: number, text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
    return { status: response.status, text: await response.text() }
  }

  async stats (): Promise<SSEStats> {
    const response = await fetch(`http://127.0.0.1:${this.port}/stats`)
    return await response.json() as SSEStats
  }
}
