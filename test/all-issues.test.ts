import { readdirSync } from 'node:fs'
import { test } from 'tap'

// One process for all files of test/issues, because starting one takes longer than most of their tests. Each runs alone as well.
const files = readdirSync(new URL('issues/', import.meta.url)).filter((name) => /(?<!\.long)\.test\.ts$/.test(name))

test('each reported fault has its file', (t) => {
  t.ok(files.length > 40)
  t.end()
})

for (const file of files) await import(`./issues/${file}`)
