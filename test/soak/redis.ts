import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../helpers/free-port.js'
import { until } from '../helpers/until.js'

/** A Redis that is ended and started again; that of the tests has tap's clock, which ends what takes so long. */
export class Redis {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  #process: ChildProcess | null = null
  #removed = false

  private constructor (port: number, folder: string) {
    this.url = `redis://127.0.0.1:${port}`
    this.#port = port
    this.#folder = folder
  }

  static async start (): Promise<Redis> {
    const redis = new Redis(await freePort(), await mkdtemp(join(tmpdir(), 'redis-')))
    await redis.start()
    return redis
  }

  /** Starts Redis with its data. It stores each write before it answers. */
  async start (): Promise<void> {
    // end() may come while a restart is in progress
    if (this.#removed) return
    const options = ['--port', String(this.#port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    const child = this.#process = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
    await Promise.race([
      until('Redis to be ready', () => output.includes('Ready to accept connections')),
      // such as where there is none
      once(child, 'exit').then(() => { throw new Error(`redis-server ended: ${output}`) })
    ])
  }

  async end (signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    const over = once(child, 'exit')
    child.kill(signal)
    await over
  }

  /** Deletes its data while it is stopped. */
  async empty (): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    await mkdir(this.#folder)
  }

  async remove (): Promise<void> {
    this.#removed = true
    await this.end('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }
}
