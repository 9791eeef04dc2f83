import { test } from 'tap'
import { encode, encodeData, encodeRetry, plainData, stripId } from '../../lib/event/encode.js'

const refused = (code: string, message: RegExp) => ({ code, message })

test('a payload is written in the order id, event, comments, data, retry, then a blank line', (t) => {
  t.equal(encode({ retry: 5, data: 'd', comments: 'c', event: 'e', id: 1 }), 'id: 1\nevent: e\n: c\ndata: d\nretry: 5\n\n')
  t.end()
})

test('the field id', async (t) => {
  t.test('an id is written unchanged, a number as its digits', (t) => {
    t.equal(encode({ id: 'a b:c' }), 'id: a b:c\n\n')
    t.equal(encode({ id: 7 }), 'id: 7\n\n')
    t.equal(encode({ id: ' led by a space' }), 'id:  led by a space\n\n')
    t.end()
  })

  t.test('an empty id and the id 0 are written', (t) => {
    t.equal(encode({ id: '' }), 'id: \n\n')
    t.equal(encode({ id: 0 }), 'id: 0\n\n')
    t.end()
  })

  t.test('an id takes no CR, LF or NUL', (t) => {
    for (const id of ['a\n', '\ra', 'a\r\nb', 'a\0b']) {
      t.throws(() => encode({ id, data: 'd' }), refused('SSE_ERR_FIELD', /"id" of an event takes text of at most 8000 bytes, without control characters .*, got "/), JSON.stringify(id))
    }
    t.end()
  })

  t.test('an id is a string or a number', (t) => {
    for (const id of [null, true, {}, [1], 1n, Symbol('s'), () => 1]) {
      t.throws(() => encode({ id, data: 'd' }), refused('SSE_ERR_FIELD', /"id" of an event takes a string or a number/), typeof id)
    }
    t.end()
  })
})

test('an encoded event without its id is the same event encoded without an id', (t) => {
  for (const id of ['1-2', 7, '', ' led by a space', 'é']) {
    const fields = { event: 'e', comments: 'c', data: 'a\nb' }
    t.equal(stripId(encode({ id, ...fields }), String(id)), encode(fields))
  }
  t.end()
})

test('the field event', async (t) => {
  t.test('an event name is written unchanged, an empty one is not written', (t) => {
    t.equal(encode({ event: 'price: up' }), 'event: price: up\n\n')
    t.equal(encode({ event: '', data: 'd' }), 'data: d\n\n')
    t.equal(encode({ event: '' }), '')
    t.end()
  })

  t.test('an event name takes no CR, LF or NUL', (t) => {
    for (const event of ['a\n', '\ra', 'a\r\nb', 'a\0b']) {
      t.throws(() => encode({ event, data: 'd' }), refused('SSE_ERR_FIELD', /"event" of an event takes text without CR, LF and NUL/), JSON.stringify(event))
    }
    t.end()
  })

  t.test('an event name is a string', (t) => {
    for (const event of [null, 0, false, {}, ['a']]) {
      t.throws(() => encode({ event, data: 'd' }), refused('SSE_ERR_FIELD', /"event" of an event takes a string/), String(event))
    }
    t.end()
  })
})

test('the field comments', async (t) => {
  t.test('each comment becomes a line', (t) => {
    t.equal(encode({ comments: 'one' }), ': one\n\n')
    t.equal(encode({ comments: ['one', 'two'] }), ': one\n: two\n\n')
    t.equal(encode({ comments: '' }), ': \n\n')
    t.end()
  })

  t.test('comments are split at CRLF, CR and LF', (t) => {
    t.equal(encode({ comments: 'a\r\nb\rc\nd' }), ': a\n: b\n: c\n: d\n\n')
    t.equal(encode({ comments: ['a\n', '\n\nb'] }), ': a\n: \n: \n: \n: b\n\n')
    t.end()
  })

  t.test('an empty array of comments writes nothing', (t) => {
    t.equal(encode({ comments: [] }), '')
    t.end()
  })

  t.test('comments are strings', (t) => {
    for (const comments of [null, 1, {}, ['a', 1], [undefined], [['a']]]) {
      t.throws(() => encode({ comments, data: 'd' }), refused('SSE_ERR_FIELD', /"comments" of an event takes a string or an array of strings/), JSON.stringify(comments))
    }
    t.end()
  })
})

test('the field data', async (t) => {
  t.test('a string is written unchanged as data', (t) => {
    t.equal(encode({ data: 'text' }), 'data: text\n\n')
    t.equal(encode({ data: ' led by a space' }), 'data:  led by a space\n\n')
    t.equal(encode({ data: '"quoted"' }), 'data: "quoted"\n\n')
    t.equal(encode({ data: 'a\0b' }), 'data: a\0b\n\n')
    t.end()
  })

  t.test('data is split at CRLF, CR and LF', (t) => {
    t.equal(encode({ data: 'a\r\nb\rc\nd' }), 'data: a\ndata: b\ndata: c\ndata: d\n\n')
    t.equal(encode({ data: '\n' }), 'data: \ndata: \n\n')
    t.equal(encode({ data: 'a\n\r\r\nb' }), 'data: a\ndata: \ndata: \ndata: b\n\n')
    t.equal(encode({ data: 'a\u2028b\u0085c\vd\fe' }), 'data: a\u2028b\u0085c\vd\fe\n\n', 'and by nothing else')
    t.end()
  })

  t.test('data is an empty line for the empty string, no line for undefined, JSON for null', (t) => {
    t.equal(encode({ data: '' }), 'data: \n\n')
    t.equal(encode({ data: undefined }), '')
    t.equal(encode({ data: null }), 'data: null\n\n')
    t.end()
  })

  t.test('data other than a string is written as JSON', (t) => {
    t.equal(encode({ data: { a: [1, 'b', null] } }), 'data: {"a":[1,"b",null]}\n\n')
    t.equal(encode({ data: 0 }), 'data: 0\n\n')
    t.equal(encode({ data: false }), 'data: false\n\n')
    t.equal(encode({ data: new Date(0) }), 'data: "1970-01-01T00:00:00.000Z"\n\n')
    t.equal(encode({ data: { text: 'a\nb' } }), 'data: {"text":"a\\nb"}\n\n')
    t.end()
  })

  t.test('a custom serializer is called for data other than a string', (t) => {
    const writeData = plainData((data) => `<${String(data)}>`)
    t.equal(encode({ data: 1 }, writeData), 'data: <1>\n\n')
    t.equal(encode({ data: 'text' }, writeData), 'data: text\n\n')
    t.equal(encode('text', writeData), 'data: text\n\n')
    t.equal(encode({ data: { a: 1 } }, plainData((data) => JSON.stringify(data, null, 1))), 'data: {\ndata:  "a": 1\ndata: }\n\n', 'whose line breaks are split')
    t.end()
  })

  t.test('the data writer gets the event name, `message` for an event without a name', (t) => {
    const named = (_data: unknown, event: string) => `data: ${event}\n`
    t.equal(encode({ event: 'price', data: 1 }, named), 'event: price\ndata: price\n\n')
    t.equal(encode({ data: 1 }, named), 'data: message\n\n')
    t.equal(encode({ event: '', data: 1 }, named), 'data: message\n\n')
    t.equal(encode('text', named), 'data: message\n\n')
    t.end()
  })
})

test('data that cannot be serialized is an error that names the event and holds the cause', (t) => {
  const circular: { self?: object } = {}
  circular.self = circular
  const cause = new RangeError('too far')
  const fails = plainData(() => { throw cause })
  t.throws(() => encode({ event: 'price', data: circular }), refused('SSE_ERR_SERIALIZATION', /data of event "price" cannot be serialized: the serializer threw an object \(TypeError\)$/))
  t.throws(() => encode({ data: 1n }), { ...refused('SSE_ERR_SERIALIZATION', /data of event "message" .*TypeError/), cause: TypeError })
  t.throws(() => encode({ data: 1 }, fails), { ...refused('SSE_ERR_SERIALIZATION', /threw an object \(RangeError\)$/), cause })
  t.end()
})

test('a serializer that throws a value other than an Error still causes an Error', (t) => {
  const fails = plainData(() => {
    AbortSignal.abort('a string').throwIfAborted()
    return ''
  })
  t.throws(() => encode({ data: 1 }, fails), { ...refused('SSE_ERR_SERIALIZATION', /cannot be serialized: the serializer threw "a string"/), cause: 'a string' })
  t.end()
})

test('a serializer that returns no string is an error', (t) => {
  t.throws(() => encode({ data: () => {} }), refused('SSE_ERR_SERIALIZATION', /the serializer gave undefined for a function/))
  t.throws(() => encode({ data: Symbol('s') }), refused('SSE_ERR_SERIALIZATION', /the serializer gave undefined for Symbol\(s\)/))
  t.throws(() => encode({ data: { toJSON: () => undefined } }), refused('SSE_ERR_SERIALIZATION', /gave undefined for an object \(Object\)/))
  t.throws(() => encode({ data: [] }, plainData(() => JSON.parse('5'))), refused('SSE_ERR_SERIALIZATION', /the serializer gave 5 for an array/))
  t.end()
})

test('the field retry', async (t) => {
  t.test('retry is written as whole milliseconds, including 0', (t) => {
    t.equal(encode({ retry: 1500 }), 'retry: 1500\n\n')
    t.equal(encode({ retry: 0 }), 'retry: 0\n\n')
    t.equal(encode({ retry: -0 }), 'retry: 0\n\n')
    t.equal(encode({ retry: Number.MAX_SAFE_INTEGER }), 'retry: 9007199254740991\n\n')
    t.equal(encodeRetry(3), 'retry: 3\n')
    t.end()
  })

  t.test('retry refuses other values', (t) => {
    for (const retry of [-1, 1.5, NaN, Infinity, 2 ** 53, '5', null, true, [5], {}]) {
      t.throws(() => encode({ retry, data: 'd' }), refused('SSE_ERR_FIELD', /"retry" of an event takes whole milliseconds, 0 or more/), String(retry))
    }
    t.end()
  })
})

test('{}, null and undefined write nothing', (t) => {
  t.equal(encode({}), '')
  t.equal(encode(Object.create(null)), '')
  t.equal(encode({ id: undefined, event: undefined, comments: undefined, data: undefined, retry: undefined }), '')
  t.equal(encode(null), '')
  t.equal(encode(undefined), '')
  t.end()
})

test('a string is encoded as an event with that data', (t) => {
  t.equal(encode('text'), 'data: text\n\n')
  t.equal(encode(''), 'data: \n\n')
  t.equal(encode('a\r\nb'), 'data: a\ndata: b\n\n')
  t.end()
})

test('a value that is not a payload is an error that describes the value', (t) => {
  t.throws(() => encode(42), refused('SSE_ERR_PAYLOAD', /got 42$/))
  t.throws(() => encode(NaN), refused('SSE_ERR_PAYLOAD', /got NaN$/))
  t.throws(() => encode(true), refused('SSE_ERR_PAYLOAD', /got true$/))
  t.throws(() => encode(10n), refused('SSE_ERR_PAYLOAD', /got 10$/))
  t.throws(() => encode(Symbol('s')), refused('SSE_ERR_PAYLOAD', /got Symbol\(s\)$/))
  t.throws(() => encode([]), refused('SSE_ERR_PAYLOAD', /got an array$/))
  t.throws(() => encode([{ data: 1 }]), refused('SSE_ERR_PAYLOAD', /got an array$/))
  t.throws(() => encode(() => ({ data: 1 })), refused('SSE_ERR_PAYLOAD', /got a function$/))
  t.throws(() => encode(new Date()), refused('SSE_ERR_PAYLOAD', /got an object \(Date\)$/))
  t.throws(() => encode(new Map([['data', 1]])), refused('SSE_ERR_PAYLOAD', /got an object \(Map\)$/))
  t.throws(() => encode(Promise.resolve({ data: 1 })), refused('SSE_ERR_PAYLOAD', /got an object \(Promise\)$/))
  t.throws(() => encode(Object.assign(Object.create(null), { id: Object.create(null) })), refused('SSE_ERR_FIELD', /got an object \(no prototype\)$/))
  t.throws(() => encode(Buffer.from('text')), refused('SSE_ERR_PAYLOAD', /got an object \(Buffer\)$/))
  t.end()
})

test('an unknown field is an error, because it would be lost silently', (t) => {
  t.throws(() => encode({ dta: 1 }), refused('SSE_ERR_PAYLOAD', /got an object \(Object\) with "dta"$/))
  t.throws(() => encode({ data: undefined, type: 'price' }), refused('SSE_ERR_PAYLOAD', /got an object \(Object\) with "type"$/))
  t.end()
})

test('an object of any class with the fields is a payload', (t) => {
  class Tick {
    event = 'tick'
    get data () { return 1 }
  }
  t.equal(encode(new Tick()), 'event: tick\ndata: 1\n\n')
  t.end()
})

test('a long value is shortened in an error message', (t) => {
  t.throws(() => encode({ id: `${'x'.repeat(100)}\n` }), { message: new RegExp(`got "${'x'.repeat(40)}…"$`) })
  t.end()
})

test('encodeData encodes any item as the data of an event `message`', (t) => {
  const named = (data: unknown, event: string) => `data: ${event} ${JSON.stringify(data)}\n`
  t.equal(encodeData({ id: 'c-1', choices: [] }, plainData()), 'data: {"id":"c-1","choices":[]}\n\n')
  t.equal(encodeData({ event: 'x', data: 1 }, plainData()), 'data: {"event":"x","data":1}\n\n')
  t.equal(encodeData([1, 2], plainData()), 'data: [1,2]\n\n')
  t.equal(encodeData('a\nb', plainData()), 'data: a\ndata: b\n\n')
  t.equal(encodeData('', plainData()), 'data: \n\n')
  t.equal(encodeData(null, plainData()), 'data: null\n\n')
  t.equal(encodeData(0, plainData()), 'data: 0\n\n')
  t.equal(encodeData(undefined, plainData()), '', 'undefined is nothing')
  t.equal(encodeData({ a: 1 }, named), 'data: message {"a":1}\n\n', 'the writer is given the name')
  t.throws(() => encodeData(1n, plainData()), { code: 'SSE_ERR_SERIALIZATION' })
  t.end()
})
