import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Page as Tab } from 'playwright-core'
import { test, type Test } from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { freePort } from '../helpers/free-port.js'
import { environment, packProject } from '../helpers/packed.js'
import { until } from '../helpers/until.js'
import { type Block, pageOf } from './document.js'

const page = pageOf('docs/tutorial.md')

const files = [
  page.codeOf('1. Start the project', 'json'),
  page.codeOf('2. Send a first stream', 'ts'),
  page.codeOf('3. Show the values in a page', 'html'), page.codeOf('3. Show the values in a page', 'ts'),
  page.codeOf('4. Add sign-in', 'html'), page.codeOf('4. Add sign-in', 'ts'),
  page.codeOf('5. Publish orders', 'html'), page.codeOf('5. Publish orders', 'ts'),
  page.codeOf('6. Test the app', 'ts')
].flat()

/** Returns the path of the file in a block: in its first line, or for JSON, which has no comments, at the end of the sentence above. */
function fileOf ({ code, language, line }: Block): string {
  const sentence = page.text.split('\n').slice(0, line - 2).findLast((text) => text !== '') ?? ''
  const [, path] = (language === 'json' ? /`([\w.]+)`:$/.exec(sentence) : /^(?:\/\/|<!--) ([\w/.-]+)(?: -->)?\n/.exec(code)) ?? []
  if (path === undefined) throw new Error(`${page.path}:${line} names no file`)
  return path
}

/** A command in a process group, as a terminal starts it. */
class Command {
  output = ''
  readonly ended: Promise<number | null>
  readonly #group: number
  #isRunning = true

  constructor (t: Test, command: string, cwd: string, env = environment()) {
    // tap's loader, which it adds to the environment of each child, is not for the reader's programs
    const child = spawn('sh', ['-c', `unset NODE_OPTIONS; ${command}`], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#group = child.pid ?? 0
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { this.output += text })
    this.ended = once(child, 'close').then(([code]) => {
      this.#isRunning = false
      return code
    })
    t.teardown(() => this.#end('SIGKILL'))
  }

  /** Sends SIGINT to every process of the group, as a terminal does at Ctrl+C. Resolves at the end of the command. */
  async interrupt (): Promise<void> {
    await this.#end('SIGINT')
  }

  async #end (signal: NodeJS.Signals): Promise<void> {
    if (this.#isRunning) process.kill(-this.#group, signal)
    await this.ended
  }
}

/** Runs a command to its end, and returns its output. */
async function run (t: Test, command: string, cwd: string): Promise<string> {
  const started = new Command(t, command, cwd)
  const code = await started.ended
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${started.output}`)
  return started.output
}

/** Does what the page says, in three terminals: the server, `curl -N`, and a terminal for all other commands. */
class Reader {
  #server: Command | undefined
  #curl: Command | undefined
  #output = ''

  constructor (readonly t: Test, private folder: string, readonly tarball: string, readonly port: number) {}

  get url (): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Types the commands and writes the files below a heading, in their order, and checks that the outputs in its blocks of text appear. */
  async follow (section: string): Promise<void> {
    for (const block of page.blocks.filter((block) => block.section === section)) {
      if (block.language === 'sh') for (const line of block.code.trimEnd().split('\n')) await this.#type(line)
      else if (block.language === 'text') await this.#see(block)
      else await this.#write(fileOf(block), block.code)
    }
  }

  /** Presses Ctrl+C in the terminal of `curl -N`. */
  async stopCurl (): Promise<void> {
    await this.#curl?.interrupt()
  }

  async #write (path: string, code: string): Promise<void> {
    const file = join(this.folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, code)
  }

  async #type (line: string): Promise<void> {
    const [, folder] = /^cd (\S+)$/.exec(line) ?? []
    if (folder !== undefined) {
      this.folder = join(this.folder, folder)
      return
    }
    // a line of an event may begin after the progress that curl prints
    const command = line
      .replace(/(?<=^npm install .*)\bfastify-sse-routes\b/, this.tarball)
      .replace('127.0.0.1:3000', `127.0.0.1:${this.port}`)
      .replace(/(?<=Last-Event-ID: )\d{13}-\d+/, () => this.#curl?.output.match(/(?<=id: )\d{13}-\d+(?=\nevent: order\n)/g)?.at(-1) ?? 'none')
    if (command === 'npm start') {
      await this.#server?.interrupt()
      const server = this.#server = new Command(this.t, command, this.folder, environment({ PORT: `${this.port}` }))
      await until(`the server listens: ${server.output}`, () => server.output.includes('Server listening'))
    } else if (command.startsWith('curl -N ')) {
      await this.stopCurl()
      this.#curl = new Command(this.t, command, this.folder)
    } else {
      this.#output = await run(this.t, command, this.folder)
    }
  }

  /** Waits until one of the terminals shows the text. Counts of visitors and ids may differ. */
  async #see ({ code, line }: Block): Promise<void> {
    const text = code.trimEnd().replace('127.0.0.1:3000', `127.0.0.1:${this.port}`).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const pattern = new RegExp(text.replace(/\d{13}-\d+/g, '\\d{13}-\\d+').replace(/(?<="count":)\d+/g, '\\d+'))
    const outputs = () => [this.#server?.output, this.#curl?.output, this.#output]
    await until(`${page.path}:${line} ${pattern}`, () => outputs().some((output = '') => pattern.test(output)), 15_000).catch((error: Error) => {
      throw new Error(`${error.message}\n${outputs().join('\n---\n')}`)
    })
  }
}

const shown = (tab: Tab, id: string) => tab.locator(`#${id}`).isVisible()
const textOf = (tab: Tab, id: string) => tab.locator(`#${id}`).innerText()

async function signIn (tab: Tab, name: string, password: string): Promise<void> {
  await until('the form', () => shown(tab, 'sign-in'))
  await tab.fill('[name=name]', name)
  await tab.fill('[name=password]', password)
  await tab.click('#sign-in button')
}

/** Waits for two values of visitors, and checks that all are in a range. */
async function visitorsMove (t: Test, tab: Tab, least: number): Promise<void> {
  const values = new Set<string>()
  await until('two values of visitors', async () => {
    const text = await textOf(tab, 'visitors')
    if (text !== '') values.add(text)
    return values.size >= 2
  })
  for (const value of values) t.ok(Number(value) >= least && Number(value) < least + 10, value)
}

/** Closes the streams of Ann as the tutorial does it: by a sign-out with another session than the browser's. */
async function closeStreams (url: string): Promise<void> {
  const signIn = await fetch(`${url}/sign-in`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"ann","password":"tea"}' })
  const cookie = signIn.headers.get('set-cookie') ?? ''
  const { status } = await fetch(`${url}/sign-out`, { method: 'POST', headers: { cookie: cookie.replace(/;.*/, '') } })
  if (status !== 200) throw new Error(`POST /sign-out: ${status}`)
}

test('each block of the page is a file with its path, a command or an output, and each step checks the types', (t) => {
  const blocks = page.blocks.filter(({ language }) => language !== 'sh' && language !== 'text')
  t.strictSame([...files].sort(), blocks.map(({ code }) => code).sort())
  for (const block of blocks) t.match(fileOf(block), /^(public\/)?[\w.-]+\.(ts|html|json)$/)
  for (const { section } of blocks.filter(({ language }) => language === 'ts')) t.match(page.sectionOf(section), '\nnpm run typecheck\n', section)
  t.end()
})

test('a reader who follows the tutorial in an empty folder sees what it says', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tutorial-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const reader = new Reader(t, folder, await packProject(join(folder, 'clone')), await freePort())
  const browser = await launchChromium(t)
  const [ann, bob] = [await browser.newContext(), await browser.newContext()]
  const tab = await ann.newPage()
  const errors: Error[] = []

  await t.test('1. Start the project', async () => {
    await reader.follow('1. Start the project')
  })

  await t.test('2. Send a first stream', async () => {
    await reader.follow('2. Send a first stream')
  })

  await t.test('3. Show the values in a page', async (t) => {
    await reader.follow('3. Show the values in a page')
    await tab.goto(reader.url)
    await visitorsMove(t, tab, 20)
  })

  await t.test('4. Add sign-in', async (t) => {
    await reader.follow('4. Add sign-in')
    await tab.reload()
    // the page of step 3 may have failed when the new server refused its reconnect
    tab.on('pageerror', (error) => errors.push(error))
    await signIn(tab, 'ann', 'milk')
    await until('the refusal', async () => await textOf(tab, 'refused') === 'Wrong name or password')
    t.notOk(await shown(tab, 'dashboard'))
    await signIn(tab, 'ann', 'tea')
    await until('the dashboard', () => shown(tab, 'dashboard'))
    await visitorsMove(t, tab, 20)
    await tab.click('#sign-out')
    await signIn(tab, 'bob', 'coffee')
    await until('the dashboard', () => shown(tab, 'dashboard'))
    await until('the first value', async () => Number(await textOf(tab, 'visitors')) >= 70)
    await visitorsMove(t, tab, 70)
  })

  await t.test('5. Publish orders', async (t) => {
    await reader.follow('5. Publish orders')
    await until('the form, because the restart ended the session', () => shown(tab, 'sign-in'))
    await reader.stopCurl()
    await reader.follow('Read the missed events')
    await reader.follow('Read a gap')

    await tab.reload()
    await signIn(tab, 'ann', 'tea')
    await until('the orders of curl', async () => await textOf(tab, 'orders') === '2, for 65 euros')
    await tab.click('#order')
    await until('the new order', async () => await textOf(tab, 'orders') === '3, for 90 euros')
    const second = await ann.newPage()
    await second.goto(reader.url)
    await until('the orders in the second tab', async () => await textOf(second, 'orders') === '3, for 90 euros')
    const others = await bob.newPage()
    await others.goto(reader.url)
    await signIn(others, 'bob', 'coffee')
    await until('no orders', async () => await textOf(others, 'orders') === '0, for 0 euros')
    await visitorsMove(t, others, 70)
    await visitorsMove(t, second, 20)

    const network = await ann.newCDPSession(tab)
    await network.send('Network.enable')
    const setOffline = (offline: boolean) => network.send('Network.emulateNetworkConditions', { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
    const requests: string[] = []
    tab.on('request', (request) => requests.push(new URL(request.url()).pathname))

    await setOffline(true)
    await reader.follow('See it in the page')
    await second.click('#order')
    await until('the order in the second tab', async () => await textOf(second, 'orders') === '4, for 115 euros')
    t.equal(await textOf(tab, 'orders'), '3, for 90 euros')
    await setOffline(false)
    await until('the missed order', async () => await textOf(tab, 'orders') === '4, for 115 euros')
    t.notOk(requests.includes('/orders'), 'replayed, not loaded')

    await setOffline(true)
    await closeStreams(reader.url)
    // the log has 1,000 events of a topic
    const order = "fetch('/orders', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{\"amount\":1}' })"
    await second.evaluate(`(async () => { for (let i = 0; i < 1001; i++) await ${order} })()`)
    await setOffline(false)
    await until('the state after a gap', async () => await textOf(tab, 'orders') === '1005, for 1116 euros')
    t.ok(requests.includes('/orders'), 'loaded, because the log has lost events')
    t.equal(await textOf(others, 'orders'), '0, for 0 euros')

    await second.click('#sign-out')
    for (const page of [tab, second]) await until('the form', () => shown(page, 'sign-in'))
    t.ok(await shown(others, 'dashboard'))
    t.strictSame(errors, [])
  })

  await t.test('6. Test the app', async () => {
    await reader.follow('6. Test the app')
  })
})
