import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import { nextId, previousId } from '../../lib/redis/position.js'

test('positions next to each other', async (t) => {
  const greatest = '18446744073709551615'
  for (const [position, next] of [['0-0', '0-1'], ['1-9', '1-10'], ['9007199254740993-1', '9007199254740993-2'], [`9-${greatest}`, '10-0'], [`9999-${greatest}`, '10000-0']] as const) {
    t.equal(nextId(position), next)
    t.equal(previousId(next), position)
    t.ok(compareEventIds(position, next) < 0)
  }
})
