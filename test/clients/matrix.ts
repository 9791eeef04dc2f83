import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Page, root } from '../docs/document.js'
import { launchChromium } from '../helpers/chromium.js'
import type { Client } from './clients.js'
import { inCommands } from './commands.js'
import { inChromium } from './in-chromium.js'
import { inNode } from './in-node.js'

const PAGE = 'docs/clients.md'

/** One or more columns of a table. */
export interface Case {
  columns: string[]
  /** Runs a client. Returns its cell, or one for each column. */
  run: (t: Test, client: Client) => Promise<string | string[]>
}

interface Row {
  client: Client
  cells: string[]
}

/** Clients that run at the same time. */
const JOBS = 8

/**
 * Runs all clients through the cases, and compares the table of the results with the one below this heading of docs/clients.md.
 * The environment variable `WRITE_TABLES=1` writes the new table into the page instead.
 */
export async function compareTable (section: string, cases: Case[]): Promise<void> {
  // 17 clients take longer than tap's default on a busy machine
  t.setTimeout(600_000)
  const clients = [...await inChromium(await launchChromium(t)), ...inNode, ...inCommands]
  const rows: Row[] = clients.map((client) => ({ client, cells: [] }))
  await t.test('each client runs through all cases', { jobs: JOBS, timeout: 600_000 }, async (t) => {
    await Promise.all(rows.map(({ client, cells }) => t.test(client.name, { buffered: true, timeout: 600_000 }, async (t) => {
      for (const { columns, run } of cases) {
        await t.test(columns.join(', '), { timeout: 120_000 }, async (t) => { cells.push(...[await run(t, client)].flat()) })
      }
    })))
  })
  const table = tableOf(cases, rows, ({ version }) => version)
  const written = new Page(PAGE).sectionOf(section).split('\n').filter((line) => line.startsWith('|')).join('\n')
  if (process.env.WRITE_TABLES) {
    writeFileSync(join(root, PAGE), readFileSync(join(root, PAGE), 'utf8').replace(written, () => table))
    return
  }
  // Debian sets the versions of its packages, so the table has to match without them
  const versions = new Map(written.split('\n').map((line) => line.split(' | ')).map(([name = '', version = '']) => [name, version]))
  t.equal(written, tableOf(cases, rows, (client) => client.debian ? versions.get(`| ${titleOf(client)}`) ?? client.version : client.version), `the table below "${section}" is this one:\n${table}\n`)
}

/** The table of these rows, in Markdown. */
function tableOf (cases: Case[], rows: Row[], versionOf: (client: Client) => string): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  const columns = ['client', 'version', ...cases.flatMap(({ columns }) => columns)]
  return [
    line(columns),
    `|${'---|'.repeat(columns.length)}`,
    ...rows.map(({ client, cells }) => line([titleOf(client), versionOf(client), ...cells]))
  ].join('\n')
}

/** The first cell of a row. Chromium is no package, and `eventsource-3` is a name within the tests. */
function titleOf ({ name }: Client): string {
  return name === 'Chromium' ? name : `\`${name.replace(/-3$/, '')}\``
}
