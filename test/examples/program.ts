import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { EventSourceMessage } from 'eventsource-parser/stream'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import { readEvents } from '../integration/read-events.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A file of examples/ in a separate process that ends with the test. */
export interface Program {
  /** The lines that it has printed. */
  output: () => string
  /** Resolves to its exit code. */
  ended: Promise<number | null>
  /** Ends it at once (SIGKILL). */
  kill: () => void
  /** Resolves to the URL that it prints once it listens. */
  url: () => Promise<string>
}

/** Starts a file of examples/ on a free port, by default with this project's loader of TypeScript. */
export function startExample (t: Test, name: string, env: Record<string, string> = {}, command = [process.execPath, '--import=./test/typescript.mjs']): Program {
  const [program = '', ...args] = command
  const { PATH, HOME } = process.env
  const child = spawn(program, [...args, `examples/${name}.ts`], {
    cwd: root,
    // a process group, because npx runs the program as its grandchild
    detached: true,
    // collects no coverage, because that takes time and the other tests reach every line
    env: { PATH, HOME, PORT: '0', _TAPJS_PROCESSINFO_COVERAGE_: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text) => { output += text })
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text })
  let over = false
  const ended = once(child, 'close').then(([code]) => {
    over = true
    return code
  })
  const kill = () => {
    if (!over && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  t.teardown(async () => {
    kill()
    await ended
  })
  return {
    output: () => output,
    ended,
    kill,
    async url () {
      // an example may print it in a line of its log
      const address = /http:[\w/.]+:\d+(?=["\n])/
      await until(`${name} listens`, () => over || address.test(output), 60_000)
      const [url] = address.exec(output) ?? []
      if (url === undefined) throw new Error(`${name} ended before it listened:\n${errors}`)
      return url
    }
  }
}

/** Reads the next `count` events of a response, then disconnects. */
export async function take (response: Response, count: number): Promise<EventSourceMessage[]> {
  const taken: EventSourceMessage[] = []
  for await (const event of readEvents(response)) if (taken.push(event) === count) break
  return taken
}

/** The names and data of events. */
export function pairs (events: EventSourceMessage[]): Array<[event: string, data: string]> {
  return events.map(({ event = 'message', data }) => [event, data])
}
