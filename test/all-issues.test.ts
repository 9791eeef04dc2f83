import { readdirSync } from 'node:fs'
import { test } from 'tap'

// Runs all files of test/issues in one process, because starting a process takes longer than most of their tests. Each file runs alone as well.
const files = readdirSync(new URL('issues/', import.meta.url)).filter((name) => /(?<!\.long)\.test\.ts$/.test(name))

test('test/issues contains a file for each reported fault', (t) => {
  t.ok(files.length > 40)
  t.end()
})

for (const file of files) await import(`./issues/${file}`)
