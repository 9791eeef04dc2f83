import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Client, Entry } from './clients.js'

const script = fileURLToPath(new URL('lines.py', import.meta.url))
/** Debian's Python, because another Python may come first in PATH and has not the packages of Debian. */
const python = '/usr/bin/python3'

interface Command {
  program: string
  /** Arguments before the url. */
  args: string[]
  version: string[]
  /** Converts a line of the output. */
  read: (line: string) => string
}

const commands: Record<string, Command> = {
  curl: { program: '/usr/bin/curl', args: ['--no-buffer', '--silent', '--fail', '--retry', '1'], version: ['--version'], read: String },
  httpie: { program: '/usr/bin/http', args: ['--stream', '--ignore-stdin', '--check-status', '--body', 'GET'], version: ['--version'], read: String },
  ...Object.fromEntries(['requests', 'httpx'].map((library) => [`python3-${library}`, {
    program: python,
    args: [script, library],
    version: ['-c', `import ${library}; print(${library}.__version__)`],
    read: (line) => JSON.parse(line)
  } satisfies Command]))
}

/** The programs and Python libraries of Debian. They read lines, not events. */
export const inCommands: Client[] = Object.entries(commands).map(([name, { program, args, version, read }]) => ({
  name,
  version: /\d[\d.]*\d/.exec(execFileSync(program, version, { encoding: 'utf8' }))?.[0] ?? '',
  debian: true,
  async open (t, url) {
    const entries: Entry[] = []
    const child = spawn(program, [...args, url], { stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => child.kill('SIGKILL'))
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) entries.push({ type: 'line', text: read(line) })
    })
    // all output has been read by then
    child.on('close', (code) => entries.push({ type: 'over', failed: code !== 0 }))
    return { entries: async () => [...entries] }
  }
}))
