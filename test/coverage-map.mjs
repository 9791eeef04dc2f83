import { readdirSync } from 'node:fs'

const covered = readdirSync(new URL('../lib', import.meta.url), { recursive: true })
  .filter((name) => /(?<!types)\.ts$/.test(name)).map((name) => `lib/${name}`)

/** Every test file counts for the whole of lib. */
export default () => covered
