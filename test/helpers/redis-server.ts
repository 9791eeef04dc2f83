import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createClient } from 'redis'
import { type Test, test } from 'tap'
import { freePort } from './free-port.js'
import { until } from './until.js'

/** The Redis servers of this machine, by name. */
export const SERVERS = ['redis-server', 'valkey-server'].filter(isInstalled)

if (SERVERS.length === 0) console.error(`There is no redis-server on the PATH (apt-get install redis-server): the tests of ${basename(process.argv[1] ?? '')} are left out`)

/** A test with a server of its own, once for each kind that this machine has. */
export function testRedis (name: string, run: (t: Test, server: RedisServer) => Promise<void>): void {
  if (SERVERS.length === 0) test(name, { skip: 'there is no redis-server' }, () => {})
  for (const command of SERVERS) test(`${command}: ${name}`, async (t) => run(t, await RedisServer.start(t, command)))
}

function isInstalled (command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A Redis of a test's own, on a free port, gone at its end. It stores each write before it answers. */
export class RedisServer {
  readonly port: number
  readonly url: string
  readonly #command: string
  readonly #folder: string
  #process: ChildProcess | null = null

  private constructor (command: string, port: number, folder: string) {
    this.#command = command
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    this.#folder = folder
  }

  /** Starts one; at the end of the test it is killed. */
  static async start (t: Pick<Test, 'teardown'>, command = 'redis-server'): Promise<RedisServer> {
    const server = new RedisServer(command, await freePort(), await mkdtemp(join(tmpdir(), 'redis-')))
    t.teardown(async () => {
      await server.kill()
      await rm(server.#folder, { recursive: true, force: true })
    })
    await server.start()
    return server
  }

  /** Starts it, again with the data it had. */
  async start (): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    const child = spawn(this.#command, options, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
    await until('Redis to be ready', () => output.includes('Ready to accept connections'))
  }

  /** Has it do a command, on a connection for that alone. */
  async call (...command: string[]): Promise<unknown> {
    const client = createClient({ url: this.url })
    await client.connect()
    try {
      return await client.sendCommand(command)
    } finally {
      client.destroy()
    }
  }

  /** Ends it at once (SIGKILL). */
  async kill (): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    const over = once(child, 'exit')
    child.kill('SIGKILL')
    await over
  }

  /** Ends it and starts it without the data it had. */
  async restartEmpty (): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
    await mkdir(this.#folder)
    await this.start()
  }

  /** Has it stand still, with its connections open. */
  pause (): void {
    this.#process?.kill('SIGSTOP')
  }

  resume (): void {
    this.#process?.kill('SIGCONT')
  }
}
