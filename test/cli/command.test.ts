import { describe, expect, it } from 'vitest'
import { parseCommand } from '../../src/cli/command.js'

describe('the command line', () => {
  it('runs a plan', () => {
    expect(parseCommand(['run', 'plan.json'])).toEqual({
      type: 'run',
      planFile: 'plan.json',
      dryRun: false,
      resume: false,
      retryFailed: false,
      fresh: false,
      cutDamage: false,
      ids: false,
      json: false,
    })
  })

  it('takes options anywhere', () => {
    const options = ['--resume', '--retry-failed', '--ids', '--dry-run']
    expect(parseCommand(['--json', 'run', '--data-dir', 'there', 'plan.json', ...options])).toEqual({
      type: 'run',
      planFile: 'plan.json',
      dataDir: 'there',
      dryRun: true,
      resume: true,
      retryFailed: true,
      fresh: false,
      cutDamage: false,
      ids: true,
      json: true,
    })
  })

  it('checks a plan', () => {
    expect(parseCommand(['check', 'plan.json'])).toEqual({ type: 'check', planFile: 'plan.json' })
  })

  it('shows help and version', () => {
    expect(parseCommand(['--help'])).toEqual({ type: 'help' })
    expect(parseCommand(['run', '-h'])).toEqual({ type: 'help' })
    expect(parseCommand(['--version'])).toEqual({ type: 'version' })
  })

  it.each([
    [[], 'no command given'],
    [['walk', 'plan.json'], 'unknown command "walk"'],
    [['chekc', 'plan.json'], 'unknown command "chekc", did you mean check?'],
    [['run', 'plan.json', '--dry-rn'], 'unknown option --dry-rn, did you mean --dry-run?'],
    [['run', 'plan.json', '--zzzzzz'], 'unknown option --zzzzzz'],
    [['check'], 'check needs a plan file'],
    [['check', 'a', '--resume'], 'check takes no --resume'],
    [['run'], 'run needs a plan file'],
    [['run', 'a', 'b'], 'run takes one plan file, but got "b" too'],
    [['run', 'a', '--resum'], '--resum'],
    [['run', 'a', '--data-dir'], 'argument missing'],
    [['run', 'a', '--data-dir', ''], '--data-dir needs a directory'],
    [['run', 'a', '--fresh', '--resume'], '--fresh forgets what --resume would continue'],
    [['run', 'a', '--fresh', '--retry-failed'], '--fresh forgets what --retry-failed would continue'],
  ])('refuses %j', (args, reason) => {
    expect(() => parseCommand(args)).toThrow(
      expect.objectContaining({ code: 'bad_usage', message: expect.stringContaining(reason) }),
    )
  })
})
