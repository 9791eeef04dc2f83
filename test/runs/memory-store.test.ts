import t from 'tap'
import { MemoryRunStore } from '../../lib/runs/memory-store.js'
import { testRunStore } from './store.js'

testRunStore((name, run) => t.test(name, run), async ({ teardown }) => {
  const store = new MemoryRunStore()
  teardown(() => store.close())
  return () => store
})
