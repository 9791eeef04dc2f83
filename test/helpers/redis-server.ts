import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createClient } from 'redis'
import { type Test, test } from 'tap'
import { freePort } from './free-port.js'
import { until } from './until.js'

/** Commands of the Redis servers installed on this machine. */
export const SERVERS = ['redis-server', 'valkey-server'].filter(isInstalled)

if (SERVERS.length === 0) console.error(`There is no redis-server on the PATH (apt-get install redis-server): the tests of ${basename(process.argv[1] ?? '')} are skipped`)

/** Runs a test with a separate server, once for each kind that is installed. */
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

/** A Redis server of one test, on a free port, ended with the test. It stores each write before it answers. */
export class RedisServer {
  readonly port: number
  readonly url: string
  readonly #command: string
  readonly #folder: string
  readonly #options: readonly string[]
  #process: ChildProcess | null = null

  private constructor (command: string, port: number, folder: string, options: readonly string[]) {
    this.#command = command
    this.#options = options
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    this.#folder = folder
  }

  /** Starts a server, which is killed at the end of the test. @param options further options of the command line */
  static async start (t: Pick<Test, 'teardown'>, command = 'redis-server', options: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(command, await freePort(), await mkdtemp(join(tmpdir(), 'redis-')), options)
    server.#endWith(t)
    await server.start()
    return server
  }

  /** Starts a Sentinel that monitors a master with the name `main`. It decides alone that the master is down, after half a second. */
  static async startSentinel (t: Pick<Test, 'teardown'>, command: string, master: RedisServer): Promise<RedisServer> {
    const sentinel = new RedisServer(command, await freePort(), await mkdtemp(join(tmpdir(), 'redis-')), [])
    sentinel.#endWith(t)
    const file = join(sentinel.#folder, 'sentinel.conf')
    await writeFile(file, `port ${sentinel.port}
bind 127.0.0.1
dir ${sentinel.#folder}
sentinel monitor main 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 3000
`)
    await sentinel.#spawn([file, '--sentinel'], '+monitor master main')
    return sentinel
  }

  #endWith (t: Pick<Test, 'teardown'>): void {
    t.teardown(async () => {
      await this.kill()
      await rm(this.#folder, { recursive: true, force: true })
    })
  }

  /** Starts the server, with its earlier data if it ran before. */
  async start (): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    await this.#spawn([...options, ...this.#options], 'Ready to accept connections')
  }

  /** Starts the process and waits until it prints `ready`. Rejects with its output if it exits before. */
  async #spawn (options: readonly string[], ready: string): Promise<void> {
    const child = spawn(this.#command, options, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
    await until('Redis to be ready', () => {
      if (child.exitCode !== null) throw new Error(`${this.#command} exited with ${child.exitCode}:\n${output}`)
      return output.includes(ready)
    })
  }

  /** Runs a command on a separate connection. */
  async call (...command: string[]): Promise<unknown> {
    const client = createClient({ url: this.url })
    await client.connect()
    try {
      return await client.sendCommand(command)
    } finally {
      client.destroy()
    }
  }

  /** Kills the server at once (SIGKILL). */
  async kill (): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    const over = once(child, 'exit')
    child.kill('SIGKILL')
    await over
  }

  /** Restarts the server without its data. */
  async restartEmpty (): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
    await mkdir(this.#folder)
    await this.start()
  }

  /** Suspends the process of the server, with its connections open. */
  pause (): void {
    this.#process?.kill('SIGSTOP')
  }

  resume (): void {
    this.#process?.kill('SIGCONT')
  }
}
