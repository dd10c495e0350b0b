import { describe, expect, it } from 'vitest'
import { parseCommand } from '../../src/cli/command.js'

describe('the command line', () => {
  it('runs a plan', () => {
    expect(parseCommand(['run', 'plan.json'])).toEqual({
      type: 'run',
      planFile: 'plan.json',
      resume: false,
      retryFailed: false,
      fresh: false,
      cutDamage: false,
      json: false,
    })
  })

  it('takes options anywhere', () => {
    expect(parseCommand(['--json', 'run', '--data-dir', 'there', 'plan.json', '--resume', '--retry-failed'])).toEqual({
      type: 'run',
      planFile: 'plan.json',
      dataDir: 'there',
      resume: true,
      retryFailed: true,
      fresh: false,
      cutDamage: false,
      json: true,
    })
  })

  it('shows help and version', () => {
    expect(parseCommand(['--help'])).toEqual({ type: 'help' })
    expect(parseCommand(['run', '-h'])).toEqual({ type: 'help' })
    expect(parseCommand(['--version'])).toEqual({ type: 'version' })
  })

  it.each([
    [[], 'nothing to do'],
    [['walk', 'plan.json'], 'unknown command "walk"'],
    [['run'], 'run needs a plan file'],
    [['run', 'a', 'b'], 'run takes one plan file, but got "b" too'],
    [['run', 'a', '--resum'], '--resum'],
    [['run', 'a', '--data-dir'], 'argument missing'],
    [['run', 'a', '--data-dir', ''], '--data-dir needs a directory'],
    [['run', 'a', '--fresh', '--resume'], '--fresh forgets what --resume would go on with'],
    [['run', 'a', '--fresh', '--retry-failed'], '--fresh forgets what --retry-failed would go on with'],
  ])('refuses %j', (args, reason) => {
    expect(() => parseCommand(args)).toThrow(
      expect.objectContaining({ code: 'bad_usage', message: expect.stringContaining(reason) }),
    )
  })
})
