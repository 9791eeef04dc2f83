import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Document } from '../../demo/documents.js'
import { freePort } from '../helpers/free-port.js'
import { until } from '../helpers/until.js'
import { readEvents } from './read-events.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Runs the command of `npm start` in its own process group, as a terminal does. npm itself would hide the exit code. */
class Start {
  output = ''
  errors = ''
  readonly ended: Promise<number | null>
  readonly #group: number

  constructor (t: Test, env: Record<string, string>) {
    const { PATH, HOME } = process.env
    const child = spawn('sh', ['-c', `exec ${scripts.start}`], {
      cwd: root,
      detached: true,
      // collects no coverage, because that takes time and the tests reach every line themselves
      env: { PATH, HOME, LOG_FILE: join(t.testdir(), 'server.log'), _TAPJS_PROCESSINFO_COVERAGE_: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#group = child.pid ?? 0
    child.stdout.setEncoding('utf8').on('data', (text) => { this.output += text })
    child.stderr.setEncoding('utf8').on('data', (text) => { this.errors += text })
    this.ended = once(child, 'close').then(([code]) => code)
    t.teardown(async () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-this.#group, 'SIGKILL')
      await this.ended
    })
  }

  /** Resolves to the URL that the process prints. */
  async url (): Promise<string> {
    await until('it has said where it listens', () => this.output.includes('/openapi/'))
    return /http:\S+/.exec(this.output)?.[0] ?? ''
  }

  /** Sends SIGINT to every process of the group, as a terminal does at Ctrl+C. */
  interrupt (): void {
    process.kill(-this.#group, 'SIGINT')
  }
}

async function takenPort (t: Test): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

t.test('npm start', async (t) => {
  const port = await freePort()
  const started = new Start(t, { PORT: `${port}`, HOST: 'localhost' })
  const url = await started.url()

  t.test('npm start listens on PORT and HOST and prints the URL', async (t) => {
    t.match(url, new RegExp(`^http://(127\\.0\\.0\\.1|\\[::1\\]):${port}$`))
    t.equal((await fetch(url)).status, 200)
  })

  t.test('npm start prints the summary of every route', async (t) => {
    const rows = started.output.split('\n').map((line) => line.trim().split(/ {2,}/).join(' '))
    const { paths } = await (await fetch(`${url}/openapi/3.1.json`)).json() as Document
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, { summary }] of Object.entries(operations)) {
        t.ok(summary && rows.includes(`${method.toUpperCase()} ${path} ${summary}`), `${method} ${path}`)
      }
    }
  })

  t.test('npm start prints the URLs of the documentation', async (t) => {
    const links = started.output.match(/^ +http:\S+/gm)?.map((link) => link.trim()) ?? []
    t.strictSame(links.map((link) => link.replace(url, '')), ['/docs', '/events.html', '/openapi/3.0.json', '/openapi/3.1.json', '/openapi/3.2.json'])
    for (const link of links.slice(0, 2)) t.equal((await fetch(link)).status, 200, link)
    const versions = links.slice(2).map(async (link) => Object(await (await fetch(link)).json()).openapi)
    t.strictSame(await Promise.all(versions), ['3.0.3', '3.1.0', '3.2.0'])
  })

  t.test('npm start ends all streams at Ctrl+C and exits within a second, with every kind of connection open', async (t) => {
    const streams = await Promise.all(['/time', '/dashboard', '/logs', '/stocks/ACRE', '/ai/chat', '/rooms/lobby'].map((path) => fetch(url + path)))
    const begun = new Set<Response>()
    const ends = streams.map(async (response) => {
      for await (const { data } of readEvents(response)) if (data) begun.add(response)
    })
    const say = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Ada","text":"Hello"}' }
    t.equal((await fetch(`${url}/rooms/lobby/messages`, say)).status, 201)
    await until('every stream has sent an event', () => begun.size === streams.length)

    const { hostname } = new URL(url)
    const [unused, kept, stalled] = await Promise.all([null, '/stocks', '/ai/chat'].map(async (path) => {
      const socket = connect(port, hostname.replace(/^\[|\]$/g, ''))
      t.teardown(() => socket.destroy())
      // a connection that the server cuts emits a reset
      socket.on('error', () => {})
      await once(socket, 'connect')
      if (path !== null) {
        socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
        await once(socket, 'readable')
      }
      return socket
    }))
    t.ok([unused, kept, stalled].every((socket) => socket?.readyState === 'open'), 'one never used, one kept after its answer, one that does not read its stream')

    const start = performance.now()
    started.interrupt()
    t.equal(await started.ended, 0)
    const took = performance.now() - start
    t.ok(took < 1_000, `${took} ms`)
    await t.resolves(Promise.all(ends), 'and every stream ended cleanly')
    t.equal(started.errors, '')
  })
})

t.test('npm start prints a wrong address in one line and exits with code 1', async (t) => {
  const refusal = async (t: Test, env: Record<string, string>) => {
    const started = new Start(t, env)
    t.equal(await started.ended, 1)
    t.equal(started.output, '')
    return started.errors
  }
  t.jobs = 2

  t.test('npm start with a port in use names the port', async (t) => {
    const port = await takenPort(t)
    t.equal(await refusal(t, { PORT: `${port}`, HOST: '127.0.0.1' }), `Port ${port} is taken on 127.0.0.1. Set another, or 0 for any that is free: PORT=0 npm start\n`)
  })
  for (const PORT of ['http', '65536']) {
    t.test(`npm start with PORT=${PORT} names the value`, async (t) => {
      t.equal(await refusal(t, { PORT }), `PORT is "${PORT}". It takes a whole number from 0, which is any free port, to 65535.\n`)
    })
  }
  t.test('npm start with the address of another machine as HOST names the address', async (t) => {
    t.equal(await refusal(t, { PORT: '0', HOST: '192.0.2.1' }), 'HOST is "192.0.2.1", which is no address of this machine. Set another: HOST=127.0.0.1 npm start\n')
  })
})
