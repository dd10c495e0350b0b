import { StatewardError } from '../base/errors.js'

/** Raised with code `bad_usage` for a command line that cannot be understood. */
export class UsageError extends StatewardError<'bad_usage', Record<string, never>> {
  override readonly name = 'UsageError'

  /** `help` is the command that says how it would be understood. */
  constructor(reason: string, help = 'stateward --help', options?: ErrorOptions) {
    super('bad_usage', `${reason} (see ${help})`, {}, options)
  }
}
