import { StatewardError } from '../base/errors.js'

/** Raised with code `bad_usage` for a command line that cannot be parsed. */
export class UsageError extends StatewardError<'bad_usage', Record<string, never>> {
  override readonly name = 'UsageError'

  /** `help` is the command that explains the usage. */
  constructor(reason: string, help = 'stateward --help', options?: ErrorOptions) {
    super('bad_usage', `${reason} (see ${help})`, {}, options)
  }
}
