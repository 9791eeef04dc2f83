import { readdirSync } from 'node:fs'
import { test } from 'tap'

/** Runs all test files of a folder of test/ in this process, except long tests, because starting a process takes longer than most of their tests. */
export async function importTests (folder: string): Promise<void> {
  const place = new URL(`../${folder}/`, import.meta.url)
  const files = readdirSync(place).filter((name) => /(?<!\.long)\.test\.ts$/.test(name))

  test(`test/${folder} contains tests`, (t) => {
    t.ok(files.length > 1)
    t.end()
  })
  for (const file of files) await import(new URL(file, place).href)
}
