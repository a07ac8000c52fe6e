import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ExpressionError } from '../lib/expression.ts'
import { json } from '../lib/marshallers/json.ts'
import { Message } from '../lib/message.ts'
import { compileTemplate, type TemplateOptions } from '../lib/template.ts'

function message(body: unknown = { region: 'eu', id: 7, ok: true, list: [1], none: null, empty: '' }): Message {
  return new Message({
    source: 's',
    marshaller: json,
    payload: Buffer.from(JSON.stringify(body)),
    topic: 'in',
    headers: { user: 'ada' },
  })
}

function render(text: string, options?: TemplateOptions, on = message()): string {
  return compileTemplate(text, options).render(on)
}

describe('a template', () => {
  for (const [text, expected] of [
    ['orders', 'orders'],
    ['', ''],
    ['orders.{body.region}', 'orders.eu'],
    ['{headers.user}-{body.id}-{body.ok}', 'ada-7-true'],
    ['user.{headers.user}', 'user.ada'],
    ['{{body}}', '{body}'],
    ['{{{topic}}}', '{in}'],
    ['a}}b{{c', 'a}b{c'],
    ['{ {"a": "x}"}.a }', 'x}'],
    ["{topic + '}'}", 'in}'],
    ['{"\\"}" + topic}', '"}in'],
    ['{body.id > 5 ? "big" : "small"}', 'big'],
  ] as const) {
    it(`'${text}' gives '${expected}'`, () => assert.equal(render(text), expected))
  }

  it('says whether it reads the body', () => {
    assert.equal(compileTemplate('a').usesBody, false)
    assert.equal(compileTemplate('{topic}').usesBody, false)
    assert.equal(compileTemplate('{topic}.{body.x}').usesBody, true)
  })

  it('without expressions is a constant, and looks at no message', () => {
    const { render: constant } = compileTemplate('orders.{{x}}')
    assert.equal(constant(undefined as unknown as Message), 'orders.{x}')
  })
})

describe('a value is refused', () => {
  const is = (code: string, message_: RegExp) => ({ code, message: message_ })
  it('that holds what may not be', () => {
    const options = { refuse: /[.*>]/, what: 'orders' }
    for (const region of ['a.b', '*', '>']) {
      assert.throws(
        () => render('o.{body.region}', options, message({ region })),
        is(
          'ARALDO_ERR_TOPIC_INVALID',
          /^endpoint 'orders' cannot send to this topic: \{body\.region\} gives '.+', which holds a separator or a wildcard$/,
        ),
      )
    }
    assert.equal(render('o.*.{body.region}', options), 'o.*.eu', 'the text of the config may hold anything')
  })

  it('each time, where the expression is global', () => {
    const template = compileTemplate('{body.region}', { refuse: /\./g })
    for (let round = 0; round < 3; round++) assert.throws(() => template.render(message({ region: 'a.b' })))
  })

  it('that is empty or no scalar', () => {
    for (const text of ['{body.empty}', '{body.list}', '{body.none}', '{body}', '{key}']) {
      assert.throws(() => render(text), is('ARALDO_ERR_TOPIC_INVALID', /is empty|gives no text/))
    }
  })

  it('that holds a line break or NUL, always', () => {
    for (const region of ['a\r', '\n', 'a\0b']) {
      assert.throws(
        () => render('{body.region}', {}, message({ region })),
        is('ARALDO_ERR_TOPIC_INVALID', /which holds a line break or NUL$/),
      )
    }
  })

  it('and is shown in one line', () => {
    assert.throws(
      () => render('{body.region}', {}, message({ region: `\x1b[2J\n${'x'.repeat(1000)}` })),
      (error: Error) => {
        // eslint-disable-next-line no-control-regex
        return error.message.length < 200 && !/[\u0000-\u001f]/.test(error.message)
      },
    )
  })

  it('that is not there is a failed expression', () => {
    assert.throws(() => render('{body.nothing}'), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
    assert.throws(
      () => render('{body.x}', {}, new Message({ source: 's', marshaller: json, payload: Buffer.from('{') })),
      { code: 'ARALDO_ERR_UNDECODABLE' },
    )
  })
})

describe('a template is refused at load', () => {
  for (const [text, offset, reason] of [
    ['a{', 1, /without '\}'/],
    ['a}', 1, /without '\{'/],
    ['a.{body', 2, /without '\}'/],
    ['a.{}', 3, /an expression is missing/],
    ['a.{bdy}', 3, /did you mean 'body'/],
    ['{topic}.{bdy}', 9, /did you mean 'body'/],
    ['{headers}', 1, /gives text/],
    ['{"}', 0, /without '\}'/],
    ['a\nb', 0, /line break/],
    ['{topic}\n', 0, /line break/],
  ] as const) {
    it(JSON.stringify(text), () => {
      assert.throws(
        () => compileTemplate(text),
        (error: unknown) => {
          assert.ok(error instanceof ExpressionError)
          assert.match(error.message, reason)
          assert.equal(error.offset, offset)
          return true
        },
      )
    })
  }
})

it('literal text, escaped, comes out as it went in', () => {
  const text = fc.string({ unit: 'binary' }).filter((each) => !/[\r\n\0]/.test(each))
  fc.assert(
    fc.property(text, (literal) => {
      const escaped = literal.replace(/[{}]/g, '$&$&')
      assert.equal(render(escaped), literal)
      assert.equal(render(`${escaped}{topic}`), `${literal}in`)
    }),
  )
})

it('what is rendered holds no more separators than the template', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (region) => {
      let rendered
      try {
        rendered = render('a.{body.region}.b', { refuse: /[.*>\s]/ }, message({ region }))
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ARALDO_ERR_TOPIC_INVALID')
        return
      }
      assert.equal(rendered.split('.').length, 3)
      assert.doesNotMatch(rendered, /[*>\s\0]/)
    }),
  )
})
