import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileExpression, ExpressionError, type Expected } from '../lib/expression.ts'
import { json } from '../lib/marshallers/json.ts'
import { raw } from '../lib/marshallers/raw.ts'
import { Message, type MessageInit } from '../lib/message.ts'

function message(init: Partial<MessageInit> = {}): Message {
  const payload = '{"id":"7","total":120,"items":[{"price":2},{"price":3}],"region":"eu","none":null}'
  return new Message({
    source: 'shop',
    marshaller: json,
    payload: Buffer.from(payload),
    topic: 'orders.eu',
    headers: { user: 'ada' },
    time: Date.UTC(2024, 0, 15, 7, 30),
    ...init,
  })
}

function evaluate(text: string, expects?: Expected, on = message()): unknown {
  return compileExpression(text, expects).evaluate(on)
}

function refusal(text: string, expects?: Expected): ExpressionError {
  try {
    compileExpression(text, expects)
  } catch (error) {
    assert.ok(error instanceof ExpressionError, String(error))
    return error
  }
  return assert.fail(`${text} was compiled`)
}

describe('an expression', () => {
  for (const [text, expected] of [
    ['body.total', 120],
    ['body.total > 100', true],
    ['body.total * 2.0', 240],
    ['body.items.map(item, item.price * 2.0)', [4, 6]],
    ['body.items.filter(item, item.price > 2)', [{ price: 3 }]],
    ['size(body.items)', 2],
    ['body.items.size() + 1', 3],
    ['int(body.total) % 7', 1],
    [
      '{"id": body.id, "total": body.total, "n": 1, "deep": [{"x": 2u}]}',
      { id: '7', total: 120, n: 1, deep: [{ x: 2 }] },
    ],
    ['has(body.region) && !has(body.nothing)', true],
    ['body.?nothing.orValue("none")', 'none'],
    ['body.?nothing', null],
    ['body.none', null],
    ['headers.user', 'ada'],
    ['headers["user"] + "!"', 'ada!'],
    ['topic.startsWith("orders.")', true],
    ['topic.matches("^orders\\\\.[a-z]{2}$")', true],
    ['body.items.all(item, item.price < 5) ? "cheap" : "dear"', 'cheap'],
    ['source', 'shop'],
    ['key', ''],
    ['time', '2024-01-15T07:30:00.000Z'],
    ['time.getHours("Europe/Rome")', 8],
    ['time + duration("90s") > time', true],
    ['duration("90s")', '90s'],
    ['b"abc"', new Uint8Array([97, 98, 99])],
    ['cel.bind(t, body.total, t > 1 && t < 1000)', true],
  ] as [string, unknown][]) {
    it(`${text} is ${JSON.stringify(expected)}`, () => assert.deepEqual(evaluate(text), expected))
  }

  it('sees the key where there is one', () => assert.equal(evaluate('key', 'string', message({ key: 'k' })), 'k'))

  it('sees bytes as bytes', () => {
    const bytes = message({ marshaller: raw, payload: Buffer.from([1, 2, 3]) })
    assert.equal(evaluate('size(body)', 'any', bytes), 3)
    assert.equal(evaluate('body.hex()', 'any', bytes), '010203')
  })

  it('gives the body itself, not a copy, where it changes nothing', () => {
    const on = message()
    assert.equal(evaluate('body', 'any', on), on.body)
  })

  it('gives whole numbers as numbers, or fails where that would not be exact', () => {
    assert.equal(evaluate('9007199254740991'), 9007199254740991)
    assert.throws(() => evaluate('9007199254740992'), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
    assert.throws(() => evaluate('1.0 / 0.0'), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
  })

  it('as text takes scalars', () => {
    for (const [text, expected] of [
      ['body.id', '7'],
      ['body.total', '120'],
      ['1', '1'],
      ['5u', '5'],
      ['true', 'true'],
    ] as const) {
      assert.equal(evaluate(text, 'string'), expected)
      assert.equal(evaluate(text, 'scalar'), expected)
    }
    assert.equal(evaluate('body.items', 'scalar'), undefined)
    assert.throws(() => evaluate('body.items', 'string'), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
  })
})

describe('decoding', () => {
  const counting = (): { message: Message; count: () => number } => {
    let decoded = 0
    const marshaller = {
      ...json,
      decode: (payload: Buffer) => {
        decoded++
        return json.decode(payload)
      },
    }
    return { message: message({ marshaller }), count: () => decoded }
  }

  it('happens for expressions that use the body alone', () => {
    for (const [text, uses] of [
      ['topic == "orders.eu"', false],
      ['headers.user + source + key', false],
      ['time.getHours() > 1', false],
      ['"body" in ["body"]', false],
      ['has(headers.body)', false],
      ['body.total > 1', true],
      ['has(body.total)', true],
      ['[1].map(x, body.total)', true],
      ['{"a": [body]}', true],
      ['topic == "" ? 1.0 : body.total', true],
    ] as const) {
      const { message: on, count } = counting()
      const expression = compileExpression(text)
      assert.equal(expression.usesBody, uses, text)
      expression.evaluate(on)
      if (!uses) assert.equal(count(), 0, text)
    }
  })

  it('happens only when the body is come to', () => {
    const { message: on, count } = counting()
    assert.equal(evaluate('topic == "other" && body.total > 1', 'bool', on), false)
    assert.equal(count(), 0)
    assert.equal(evaluate('topic == "orders.eu" && body.total > 1 && body.id == "7"', 'bool', on), true)
    assert.equal(count(), 1)
  })

  it('that fails is told as such', () => {
    const on = message({ payload: Buffer.from('{') })
    assert.throws(() => evaluate('body.total > 1', 'bool', on), { code: 'ARALDO_ERR_UNDECODABLE' })
    assert.equal(evaluate('topic != ""', 'bool', on), true)
  })
})

describe('an expression is refused at load', () => {
  for (const [text, offset, reason, expects] of [
    ['', 0, 'an expression is missing'],
    ['  ', 0, 'an expression is missing'],
    ['body.total >', 12, 'it ends where more was expected'],
    ['body.total > 1)', 14, /unexpected|expected/i],
    ['bdy.total', 0, "there is no variable 'bdy'; did you mean 'body'?"],
    ['1 + nothing', 4, "there is no variable 'nothing'; there are body, headers, topic, key, source, time"],
    ['topic * 2', 0, 'no such overload: string * int'],
    ['headers.user + 1', 0, 'no such overload: string + int'],
    ['nosuch(body)', 0, /nosuch/],
    ['body.total * 2', 13, 'a JSON number is a double: write 2.0 in place of 2'],
    ['10 - body.a.b[0]', 0, 'a JSON number is a double: write 10.0 in place of 10'],
    ['body.total % 2', 13, "'%' is for whole numbers: write int(…) % 2"],
    [
      'double(body.total) * 2',
      0,
      /^no such overload: double \* int; a JSON number is a double: write 2\.0 in place of 2/,
    ],
    ['topic.matches("(")', 14, /^no regular expression \(RE2\): /],
    ['topic.matches("(?=a)")', 14, /^no regular expression \(RE2\): /],
    ['topic', 0, 'expected an expression that gives true or false, this gives string', 'bool'],
    ['[topic]', 0, 'expected an expression that gives text, this gives list<string>', 'string'],
    ['x'.repeat(10_001), 0, 'an expression has at most 10000 characters'],
    [`${'('.repeat(500)}1${')'.repeat(500)}`, undefined, /./],
  ] as [string, number | undefined, string | RegExp, Expected?][]) {
    it(text.slice(0, 40) || '(nothing)', () => {
      const error = refusal(text, expects)
      if (typeof reason === 'string') assert.equal(error.message, reason)
      else assert.match(error.message, reason)
      if (offset !== undefined) assert.equal(error.offset, offset)
    })
  }
})

describe('an expression fails on a message', () => {
  for (const [text, reason] of [
    ['body.nothing > 1', 'no such key: nothing'],
    ['headers.nothing == ""', 'no such key: nothing'],
    [
      'body.items.exists(item, item.price * 2 > 1)',
      /^no such overload: double \* int; a JSON number is a double: write 2\.0/,
    ],
    ['body.id > 1', /^no such overload: /],
    ['body.total', 'expected true or false, got number'],
    ['body.items', 'expected true or false, got a list'],
    ['topic.matches(body.nothing)', 'no such key: nothing'],
  ] as [string, string | RegExp][]) {
    it(`${text}: ${String(reason)}`, () => {
      const on = message()
      assert.throws(
        () => evaluate(text, 'bool', on),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'ARALDO_ERR_EXPRESSION_FAILED')
          const begin = `'${text}' failed for message '${on.id}': `
          assert.ok(error.message.startsWith(begin), error.message)
          const why = error.message.slice(begin.length)
          if (typeof reason === 'string') assert.equal(why, reason)
          else assert.match(why, reason)
          return true
        },
      )
    })
  }

  it('and the next message is not affected', () => {
    const expression = compileExpression('body.total > 1', 'bool')
    assert.throws(() => expression.evaluate(message({ payload: Buffer.from('{}') })))
    assert.equal(expression.evaluate(message()), true)
  })

  it('where it is too deep, and what it holds cannot be carried', () => {
    const deep = message({ payload: Buffer.from(`${'['.repeat(5000)}${']'.repeat(5000)}`) })
    assert.throws(() => evaluate('body', 'any', deep), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
    const proto = message({ marshaller: raw, payload: Buffer.from('{"__proto__":{"x":1}}') })
    assert.throws(() => evaluate('body.json()', 'any', proto), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
    assert.throws(() => evaluate('type(1)'), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
  })
})

describe('regular expressions', () => {
  it('take time in proportion to the text, whatever a peer sends', () => {
    const evil = message({ body: { text: 'a'.repeat(60_000), pattern: '(a*)*b' }, payload: undefined })
    const start = performance.now()
    for (const pattern of ['"(a+)+$b"', '".*x"', '"(a|a)*b"', '".*a.*b.*c"', 'body.pattern']) {
      assert.equal(evaluate(`body.text.matches(${pattern})`, 'bool', evil), false)
    }
    // JavaScript's own take hours.
    assert.ok(performance.now() - start < 10_000)
  })

  it('search, as the language has it', () => {
    for (const [text, pattern, expected] of [
      ['orders.eu', 'eu', true],
      ['orders.eu', '^eu', false],
      ['ORDERS', '(?i)orders', true],
      ['ünï', '^\\\\p{L}+$', true],
      ['', '', true],
    ] as const) {
      assert.equal(evaluate(`"${text}".matches("${pattern}")`), expected)
      assert.equal(evaluate(`["${text}"].exists(x, x.matches("${pattern}"))`), expected)
    }
  })
})

it('whatever text is given is compiled or refused, with a place in it', () => {
  const part = fc.constantFrom(
    ...[
      'body',
      '.a',
      '[0]',
      ' + ',
      ' * ',
      '2',
      '2.0',
      '"x"',
      "'",
      '(',
      ')',
      '{',
      '}',
      ':',
      ',',
      ' && ',
      '!',
      '?',
      'has(',
      'size(',
      '.map(x, x)',
      '.matches("a")',
      'topic',
      ' in ',
      '-',
      '\n',
      'r"',
      'b"',
      '//',
    ],
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(text, fc.constantFrom<Expected>('any', 'bool', 'string', 'scalar'), (source, expects) => {
      let expression
      try {
        expression = compileExpression(source, expects)
      } catch (error) {
        assert.ok(error instanceof ExpressionError, String(error))
        assert.ok(error.offset >= 0 && error.offset <= source.length)
        // eslint-disable-next-line no-control-regex
        assert.doesNotMatch(error.message, /[\u0000-\u001f]/)
        return
      }
      try {
        const value = expression.evaluate(message())
        if (expects === 'any' && !(value instanceof Uint8Array)) JSON.stringify(value)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ARALDO_ERR_EXPRESSION_FAILED', String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
