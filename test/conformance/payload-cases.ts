import type { SSEInput } from '../../lib/event/encode.js'

/** The event that a client must read: its data, or its name and data; null: no event. */
type Sees = string | [event: string, data: string] | null

/** A payload, and the events that the standard's parser reads from it. */
export type PayloadCase = [payload: SSEInput, sees: Sees]

const named = (event: string): PayloadCase => [{ event, data: event }, [event, event]]

export const payloadCases: PayloadCase[] = [
  // line breaks in data: all three kinds count, and none is lost
  ['a\nb', 'a\nb'],
  ['a\rb', 'a\nb'],
  ['a\r\nb', 'a\nb'],
  ['a\n\rb', 'a\n\nb'],
  ['a\r\rb', 'a\n\nb'],
  ['a\r\n\r\nb', 'a\n\nb'],
  ['\na', '\na'],
  ['\ra', '\na'],
  ['\r\na', '\na'],
  ['a\n', 'a\n'],
  ['a\r', 'a\n'],
  ['a\r\n', 'a\n'],
  ['\n', '\n'],
  ['\n\n', '\n\n'],
  ['\r\n\r\n\r', '\n\n\n'],
  ['', ''],
  // text that only looks like a line break
  ['a\u0085b\u2028c\u2029d\ve\ff', 'a\u0085b\u2028c\u2029d\ve\ff'],
  // white space
  [' a', ' a'],
  ['  ', '  '],
  [' \n ', ' \n '],
  ['\ta', '\ta'],
  ['a ', 'a '],
  // byte order marks
  ['\uFEFFa', '\uFEFFa'],
  ['\uFEFF', '\uFEFF'],
  ['a\uFEFFb\n\uFEFFc', 'a\uFEFFb\n\uFEFFc'],
  [{ event: '\uFEFF', data: '\uFEFF\uFEFF' }, ['\uFEFF', '\uFEFF\uFEFF']],
  // NUL
  ['\0', '\0'],
  ['a\0b\n\0', 'a\0b\n\0'],
  // text that looks like a field
  ['data: x', 'data: x'],
  ['data', 'data'],
  ['id: 1', 'id: 1'],
  ['event: x', 'event: x'],
  ['retry: 1', 'retry: 1'],
  [':', ':'],
  [': x', ': x'],
  ['x\n\ndata: y\n\n', 'x\n\ndata: y\n\n'],
  ['x\rid: 9\r\revent: y\r', 'x\nid: 9\n\nevent: y\n'],
  ['x\r\nretry: 1\r\n\r\nid\r\n', 'x\nretry: 1\n\nid\n'],
  // characters
  ['é…€𝄞👩‍👩‍👧', 'é…€𝄞👩‍👩‍👧'],
  ['\uD834', '\uFFFD'],
  ['\uDD1Ea', '\uFFFDa'],
  ['a\uD834\nb\uDD1E', 'a\uFFFD\nb\uFFFD'],
  ['\uDD1E\uD834', '\uFFFD\uFFFD'],
  ['\uD834\uDD1E', '𝄞'],
  ['\uFFFE\uFFFF', '\uFFFE\uFFFF'],
  // data that is not a string
  [{ data: { a: 'x\r\ny\u2028' } }, '{"a":"x\\r\\ny\u2028"}'],
  [{ data: '\uD834'.concat('"') }, '\uFFFD"'],
  [{ data: ['\uD834'] }, '["\\ud834"]'],
  [{ data: null }, 'null'],
  [{ data: 0 }, '0'],
  [{ data: false }, 'false'],
  [{ data: [] }, '[]'],
  // names
  ...['message', 'open', 'error', 'close', '__proto__', 'constructor', 'toString', 'a b', ' a', 'a ', ':', 'a:b', '…', '𝄞', 'é', 'data', '0'].map(named),
  [{ event: '', data: 'no name' }, 'no name'],
  [{ event: '\uD834', data: 'half' }, ['\uFFFD', 'half']],
  // without data: no event, and the name is dropped
  [{ event: 'lost' }, null],
  ['after a name', 'after a name'],
  [{ comments: 'x' }, null],
  [{ comments: 'x\ndata: y\r\rid: 9\r\n\r\nevent: z' }, null],
  [{ comments: ['', '\r\r', 'id: 9'], data: 'y' }, 'y'],
  [{ event: 'commented', comments: '\n', data: 'y' }, ['commented', 'y']],
  [{}, null],
  [null, null],
  [{ data: undefined }, null],
  [{ retry: 60_000 }, null],
  [{ retry: 60_000, data: 'retry' }, 'retry'],
  // ids, each of which applies until the next
  [{ id: 0, data: 'zero' }, 'zero'],
  ['after zero', 'after zero'],
  [{ id: '', data: 'reset' }, 'reset'],
  ['after reset', 'after reset'],
  [{ id: '1', event: 'no data' }, null],
  ['after an event without data', 'after an event without data'],
  [{ id: '2' }, null],
  ['after an id alone', 'after an id alone'],
  [{ id: '' }, null],
  ['after an empty id alone', 'after an empty id alone'],
  ...[' 1', '1 ', 'a b', '…', '𝄞', 'é', '\uFEFF', ':', 'id: 1', -1.5, '\uD834', '\t'].map((id): PayloadCase => [{ id, data: 'id' }, 'id'])
]

/** Characters of four bytes, shifted so that each lies across a chunk border in some case. */
export const longCases = (times: number): PayloadCase[] => ['', 'a', 'ab', 'abc'].flatMap((start): PayloadCase[] => {
  const text = start + '𝄞'.repeat(times)
  return [[text, text], [{ data: [text] }, JSON.stringify([text])]]
})

/**
 * The events that the standard's parser reads from payloads.
 * @param idsHold true as in the standard; false: an event has the id that was sent with it
 */
export function mustSee (cases: PayloadCase[], idsHold: boolean) {
  let lastEventId = ''
  return cases.flatMap(([payload, sees]) => {
    const id = typeof payload === 'object' ? payload?.id : undefined
    if (id !== undefined) lastEventId = Buffer.from(String(id)).toString()
    else if (!idsHold) lastEventId = ''
    if (sees === null) return []
    const [event, data] = typeof sees === 'string' ? ['message', sees] : sees
    return [{ event, data, lastEventId }]
  })
}

export const namesIn = (cases: PayloadCase[]): string[] => cases.flatMap(([, sees]) => Array.isArray(sees) ? [sees[0]] : [])
