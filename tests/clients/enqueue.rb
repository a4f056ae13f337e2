# Enqueues COUNT jobs one by one, each until it is acknowledged, and says how many errors that took.
require_relative "job"

errors = 0
Integer(ENV.fetch("COUNT")).times do |number|
  begin
    Job.perform_async(number)
  rescue StandardError => error
    errors += 1
    warn "#{number}: #{error.class} #{error.message}"
    sleep 0.05
    retry
  end
end
puts errors
