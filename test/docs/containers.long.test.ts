import { build } from 'esbuild'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { parse } from 'yaml'
import { open, until } from '../helpers/app.js'
import { hasTini, startProcessOne, testProcessOne } from '../helpers/process-one.js'
import { pageOf } from './document.js'
import { tenLines, toJavaScript } from './run.js'

const page = pageOf('docs/deployment.md')

const [dockerfile] = page.codeOf('Containers', 'dockerfile')
const [compose] = page.codeOf('Time to stop', 'yaml')
const [handler] = page.codeOf('Close the app on SIGTERM', 'ts')

/** Returns the arguments of an instruction of the Dockerfile. */
function argumentsOf (instruction: string): string {
  const [, found] = new RegExp(`^${instruction} (.*)$`, 'm').exec(dockerfile) ?? []
  if (found === undefined) throw new Error(`no ${instruction}`)
  return found
}

const command: string[] = JSON.parse(argumentsOf('CMD'))

function isSignal (name: string): name is NodeJS.Signals {
  return /^SIG[A-Z]+$/.test(name)
}

/** Writes the app of the README as server.js, with package.json. Returns the folder. */
async function writeApp (t: Test, withHandler: boolean): Promise<string> {
  const folder = join(t.testdir({}), 'app')
  await mkdir(folder)
  const code = tenLines({ after: `${withHandler ? handler : ''}\nconsole.log(await app.listen({ host: '127.0.0.1', port: 0 }))` })
  // with the code of lib; packages are found in the folders above
  await build({ stdin: { contents: toJavaScript(code), resolveDir: folder }, outfile: join(folder, 'server.js'), bundle: true, packages: 'external', platform: 'node', format: 'esm', plugins: [{ name: 'file URLs', setup: ({ onResolve }) => onResolve({ filter: /^file:/ }, ({ path }) => ({ path: new URL(path).pathname.replace(/\.js$/, '.ts') })) }] })
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', scripts: { start: 'node server.js' } }))
  return folder
}

type Outcome = `streams ${'end normally' | 'break off'}, exit code ${number}` | 'nothing happens'

/** Sends the signal of the Dockerfile to an app that is process 1, or whose parent is, and returns the effect. */
async function stop (t: Test, command: readonly string[], withHandler: boolean): Promise<Outcome> {
  const app = await startProcessOne(t, command, await writeApp(t, withHandler))
  const client = await open(t, app.port, '/stocks/ACME')
  await client.until('\n\n')
  const signal = argumentsOf('STOPSIGNAL')
  if (!isSignal(signal)) throw new Error(signal)
  app.signal(signal)
  let ended = false
  const exit = app.ended.then((code) => { ended = true; return code })
  // more events arrive if the signal has no effect
  await until('the exit, or three more events', () => ended || client.text.split('\n\n').length > 4)
  if (!ended) {
    t.ok(app.isRunning())
    return 'nothing happens'
  }
  const normal = await client.finished()
  if (normal) t.match(client.text, /\nretry: \d+\n$/)
  return `streams ${normal ? 'end normally' : 'break off'}, exit code ${Number(await exit)}`
}

const shell = command.join(' ')
const firsts: Record<string, readonly string[]> = {
  [shell]: command,
  'npm start': ['npm', 'start'],
  [`sh -c '${shell}'`]: ['sh', '-c', shell],
  [`tini -- ${shell}`]: ['tini', '--', ...command]
}

for (const [name, command] of Object.entries(firsts)) {
  if (command[0] === 'tini' && !hasTini) {
    test(name, { skip: 'there is no tini' }, () => {})
    continue
  }
  testProcessOne(`${name} as process 1 of a container reacts to the signal as the page says`, async (t) => {
    const [, , withHandler, withoutHandler] = page.rowOf(name)
    t.equal(await stop(t, command, true), withHandler)
    await t.test('without a handler', async (t) => { t.equal(await stop(t, command, false), withoutHandler) })
  })
}

test('the container of the page has more time to stop than app.close() takes with clients and sources that hang', (t) => {
  const { services: { app } } = parse(compose)
  t.ok(/^\d+s$/.test(app.stop_grace_period) && Number.parseInt(app.stop_grace_period) > 10 + 5, app.stop_grace_period)
  t.ok(app.ulimits.nofile > 1_024)
  t.end()
})
