# One Sidekiq job: it writes down its number. Idempotent, as Sidekiq asks of jobs.
require "sidekiq"

# This Sidekiq is older than this redis-rb, which tells so at every job.
Redis.silence_deprecations = true

connection = { url: ENV.fetch("REDIS_URL") }
Sidekiq.configure_client { |config| config.redis = connection }
Sidekiq.configure_server { |config| config.redis = connection }
Sidekiq.options[:poll_interval_average] = 1

class Job
  include Sidekiq::Worker
  sidekiq_options retry: 25
  sidekiq_retry_in { 1 }

  def perform(number)
    Sidekiq.redis { |redis| redis.sadd("done", number) }
  end
end
