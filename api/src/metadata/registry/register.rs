//! A broker that starts.

use headwater_broker::{
    BrokerId, Incarnation, PartitionId, Registered, Registration, RegistryError,
    replica::{Assignment, Leadership},
};

use super::Answered;
use crate::{
    auth::encode_hex,
    metadata::{
        Change, Kind, Store, TopicRow,
        store::{BrokerRow, ControllerRow, PartitionRow, Result},
    },
};

impl Store {
    pub(super) async fn register_broker(&self, broker: Registration) -> Answered<Registered> {
        let mut change = self.change_now().await?;
        if ControllerRow::is_rebuilding(&mut change).await? {
            return Err(RegistryError::Unavailable(
                "it is being rebuilt from the bucket: wait for `headwater bucket rebuild`, or start \
                 it again if it was interrupted"
                    .into(),
            ));
        }
        let known = BrokerRow::lock(&mut change, broker.id).await?;
        if let Some(known) = &known {
            self.check_free(&mut change, known, &broker).await?;
        }
        let data_dir = encode_hex(&broker.data_dir);
        let all = BrokerRow::all(&mut change).await?;
        if let Some(other) = all
            .iter()
            .find(|other| other.data_dir == data_dir && other.id != i64::from(broker.id))
        {
            // What is in there is broker `other`'s copies. Under another number they would be nobody's,
            // and removed as such.
            return Err(RegistryError::Taken(format!(
                "its data directory is that of broker {}: start it under that number, or with \
                 another directory",
                other.id
            )));
        }
        let is_same = |known: &BrokerRow| known.data_dir == data_dir;
        let disk_replaced = known.as_ref().is_some_and(|known| {
            // Less than what was renewed is an older copy of the disk.
            !is_same(known) || broker.renewals < known.renewals
        });
        let renewals = match &known {
            // Above what either disk remembers: the one that was copied may come back, too.
            Some(known) if is_same(known) && disk_replaced => known.renewals + 1,
            _ => broker.renewals,
        };
        let incarnation = BrokerRow::register(&mut change, self.engine, &broker, renewals).await?;
        let cluster_id = match ControllerRow::cluster_id(&mut change).await? {
            Some(cluster_id) => cluster_id,
            None => ControllerRow::name_cluster(&mut change).await?,
        };
        if disk_replaced {
            let lost = PartitionRow::discount(&mut change, broker.id, None).await?;
            tracing::warn!(
                broker = broker.id,
                partitions = lost,
                "the broker has another disk"
            );
        } else {
            for id in &broker.damaged {
                PartitionRow::discount(&mut change, broker.id, Some(*id)).await?;
            }
        }
        adopt(&mut change, broker.id, incarnation).await?;
        change.spread_group_log().await?;
        change.touch(Kind::Broker, &broker.id.to_string()).await?;
        change.commit().await?;
        Ok(Registered {
            incarnation,
            cluster_id,
            disk_replaced,
            renewals,
        })
    }

    /// Whether the number may be this directory's: nobody else who is alive has it.
    async fn check_free(
        &self,
        change: &mut Change,
        known: &BrokerRow,
        broker: &Registration,
    ) -> Answered<()> {
        if known.data_dir == encode_hex(&broker.data_dir) {
            return Ok(());
        }
        let left_ms = known.lease_left_ms(change, self.engine).await?;
        if left_ms <= 0 {
            return Ok(());
        }
        let since = jiff::Timestamp::from_millisecond(known.registered_at).unwrap_or_default();
        Err(RegistryError::Taken(format!(
            "broker {} at {} has it since {since}, with another data directory; its lease runs \
             {left_ms} ms more",
            known.id, known.address
        )))
    }
}

/// Gives a broker the topics that were made before there were brokers: their data can only be where
/// the service has been all the time. Tombstones too, for it to remove their data.
async fn adopt(change: &mut Change, broker: BrokerId, incarnation: Incarnation) -> Result<()> {
    let place = Assignment {
        replicas: vec![broker],
        target: None,
        leader: Some(Leadership {
            broker,
            incarnation,
        }),
        epoch: 1,
        in_sync: vec![broker],
        partition_epoch: 1,
        min_insync_replicas: 1,
        loss_epoch: None,
    };
    for topic in TopicRow::without_partitions(change).await? {
        let Ok(id) = topic.id.parse() else {
            tracing::error!(topic = topic.id, "a topic with a bad id has no partitions");
            continue;
        };
        let partitions = 0..u32::try_from(topic.partitions).unwrap_or(0);
        let row = |partition| {
            PartitionRow::new(
                PartitionId {
                    topic: id,
                    partition,
                },
                &place,
            )
        };
        let rows: Vec<_> = partitions.map(row).collect();
        PartitionRow::insert(change, &rows).await?;
        tracing::info!(topic = topic.id, "the topic's partitions are this broker's");
    }
    Ok(())
}
