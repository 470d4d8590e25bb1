-- The last term in which a copy leads that may lack what was acknowledged before: an operator has
-- accepted that.
ALTER TABLE partitions ADD COLUMN loss_epoch BIGINT;
